//! `cargo xtask build`: the eBPF objects, then the agent that carries them and the guest binaries.
//! Leaves out bringing the tools, which is `setup`.

pub(crate) mod ebpf;
pub(crate) mod guest;
pub(crate) mod objcopy;

use std::{env, path::PathBuf};

use anyhow::Context as _;

use crate::{arch::Arch, paths, process, setup};

/// What to build.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Architecture to build for; this machine's own if it is not named
    #[arg(long, value_name = "ARCH")]
    target: Option<Arch>,
}

pub(crate) fn verb(options: &Options) -> anyhow::Result<()> {
    let arch = options.target.unwrap_or(Arch::HOST);
    setup::to_build(arch)?;
    all(arch).map(drop)
}

/// Builds everything that a guest or a host of this architecture runs.
pub(crate) fn all(arch: Arch) -> anyhow::Result<Vec<guest::Binary>> {
    ebpf::objects(arch)?;
    guest::all(arch)
}

/// Flags of the compiler by which the same source makes the same bytes wherever it lies.
pub(crate) fn same_everywhere() -> anyhow::Result<Vec<String>> {
    Ok(places()?
        .iter()
        .map(|(place, name)| format!("--remap-path-prefix={}={name}", place.display()))
        .collect())
}

/// The same for the C of a crate, for a shell to read: a path may hold blanks.
pub(crate) fn same_c_everywhere() -> anyhow::Result<String> {
    let flags: Vec<String> = places()?
        .iter()
        .map(|(place, name)| format!("'-ffile-prefix-map={}={name}'", place.display()))
        .collect();
    Ok(flags.join(" "))
}

/// Where files lie that a program's debug information names, and what they are called there.
fn places() -> anyhow::Result<[(PathBuf, &'static str); 3]> {
    let sysroot = process::sysroot()?;
    let cargo = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(env::home_dir()?.join(".cargo")))
        .context("cargo has no home")?;
    Ok([
        (paths::root().to_owned(), "."),
        (cargo, "/cargo"),
        (sysroot, "/rust"),
    ])
}
