//! `cargo xtask build`: the eBPF objects, then the agent that carries them and the guest binaries.
//! Leaves out bringing the tools, which is `setup`.

pub(crate) mod ebpf;
pub(crate) mod guest;

use crate::{arch::Arch, setup};

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
