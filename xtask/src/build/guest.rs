//! The agent and the lab's own programs as static binaries: they run in a guest that has no libraries.
//! Leaves out the eBPF objects that the agent embeds.

use std::{fs, path::PathBuf, process::Command};

use anyhow::Context as _;

use crate::{paths, process};

/// Named although it is the host's own: the flags then reach no build script and no macro.
const TARGET: &str = "x86_64-unknown-linux-gnu";

const AGENT: &str = "pinscope";

/// A program for the guest.
#[derive(Clone, Debug)]
pub(crate) struct Binary {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
}

/// Only the guest's init.
pub(crate) fn init() -> anyhow::Result<Vec<Binary>> {
    cargo(&["--package", "lab", "--bin", "init"])?;
    Ok(vec![binary("init".to_owned())])
}

/// Everything that goes onto a guest's `PATH`.
pub(crate) fn all() -> anyhow::Result<Vec<Binary>> {
    cargo(&["--package", "lab", "--package", "pinscope", "--bins"])?;
    built()
}

/// What [`all`] built last.
pub(crate) fn built() -> anyhow::Result<Vec<Binary>> {
    let sources =
        fs::read_dir(paths::root().join("lab/src/bin")).context("the lab has no programs")?;
    let mut binaries: Vec<_> = sources
        .flatten()
        .filter_map(|source| Some(source.path().file_stem()?.to_str()?.to_owned()))
        .chain([AGENT.to_owned()])
        .map(binary)
        .collect();
    binaries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(binaries)
}

/// The agent as [`all`] built it: static, so the same file runs here and in a guest.
pub(crate) fn agent() -> PathBuf {
    binary(AGENT.to_owned()).path
}

fn cargo(what: &[&str]) -> anyhow::Result<()> {
    process::run(
        Command::new("cargo")
            .args([
                "build",
                "--quiet",
                "--release",
                "--target",
                TARGET,
                "--target-dir",
            ])
            .arg(paths::target())
            .args(what)
            .env(
                "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS",
                "-C target-feature=+crt-static",
            )
            .env_remove("RUSTFLAGS")
            .current_dir(paths::root()),
    )
}

fn binary(name: String) -> Binary {
    let path = paths::target().join(TARGET).join("release").join(&name);
    Binary { name, path }
}
