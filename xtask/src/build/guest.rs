//! The agent and the lab's own programs as static binaries: they run in a guest that has no libraries.
//! Leaves out the eBPF objects that the agent embeds.

use std::{fs, path::PathBuf, process::Command};

use anyhow::Context as _;

use crate::{
    arch::Arch,
    paths, process,
    setup::cross::{self, Tool},
};

/// The agent.
pub(crate) const AGENT: &str = "pinscope";

/// The guest's init.
pub(crate) const INIT: &str = "init";

/// What carries the job on where the guest's init is another.
pub(crate) const RUNNER: &str = "job-runner";

/// A program for the guest.
#[derive(Clone, Debug)]
pub(crate) struct Binary {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
}

/// Only what a guest cannot do without.
pub(crate) fn bare(arch: Arch) -> anyhow::Result<Vec<Binary>> {
    build(arch, &["--package", "lab", "--bin", INIT, "--bin", RUNNER])?;
    Ok([INIT, RUNNER]
        .map(|name| binary(arch, name.to_owned()))
        .into())
}

/// Everything that goes onto a guest's `PATH`.
pub(crate) fn all(arch: Arch) -> anyhow::Result<Vec<Binary>> {
    build(
        arch,
        &["--package", "lab", "--package", "pinscope", "--bins"],
    )?;
    built(arch)
}

/// What [`all`] built last.
pub(crate) fn built(arch: Arch) -> anyhow::Result<Vec<Binary>> {
    let sources =
        fs::read_dir(paths::root().join("lab/src/bin")).context("the lab has no programs")?;
    let mut binaries: Vec<_> = sources
        .flatten()
        .filter_map(|source| Some(source.path().file_stem()?.to_str()?.to_owned()))
        .chain([AGENT.to_owned()])
        .map(|name| binary(arch, name))
        .collect();
    binaries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(binaries)
}

/// The agent as [`all`] built it for this machine: static, so the same file runs here and in a guest.
pub(crate) fn agent() -> PathBuf {
    binary(Arch::HOST, AGENT.to_owned()).path
}

/// Whether the agent and the guest's programs compile for the architecture; makes nothing that runs.
pub(crate) fn check(arch: Arch) -> anyhow::Result<()> {
    let what = ["--package", "lab", "--package", "pinscope", "--bins"];
    process::run(&mut cargo(arch, "check", &what)?)
}

fn build(arch: Arch, what: &[&str]) -> anyhow::Result<()> {
    process::run(&mut cargo(arch, "build", what)?)
}

fn cargo(arch: Arch, verb: &str, what: &[&str]) -> anyhow::Result<Command> {
    let target = arch.target();
    let variable = |name: &str| {
        let target = target.to_uppercase().replace('-', "_");
        format!("CARGO_TARGET_{target}_{name}")
    };
    let mut flags = vec!["-Ctarget-feature=+crt-static".to_owned()];
    flags.extend(super::same_everywhere()?);
    let mut command = Command::new("cargo");
    command
        // For a check, too: the macros that it runs are then those of the build.
        .args([verb, "--quiet", "--release"])
        // Named although it may be the host's own: the flags then reach no build script and no macro.
        .args(["--target", target, "--target-dir"])
        .arg(paths::target())
        .args(what)
        .env_remove("RUSTFLAGS")
        .current_dir(paths::root());
    let of = target.replace('-', "_");
    command.env("CC_SHELL_ESCAPED_FLAGS", "1");
    command.env(format!("CFLAGS_{of}"), super::same_c_everywhere()?);
    if arch != Arch::HOST {
        flags.push("-Clinker-flavor=ld".to_owned());
        command.env(variable("LINKER"), cross::linker(arch));
        // The one crate with C in it finds its compiler by these.
        command.env(format!("CC_{of}"), cross::compiler(arch, Tool::Cc));
        command.env(format!("AR_{of}"), cross::compiler(arch, Tool::Ar));
        if !cross::has_standard_library(arch)? {
            // build-std is not stable; the pinned compiler makes it dependable.
            command
                .args(["-Z", "build-std=std,panic_unwind"])
                .env("RUSTC_BOOTSTRAP", "1");
        }
    }
    // Paths may hold blanks.
    command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
    Ok(command)
}

fn binary(arch: Arch, name: String) -> Binary {
    let path = paths::target()
        .join(arch.target())
        .join("release")
        .join(&name);
    Binary { name, path }
}
