//! `cargo xtask build`: the eBPF objects, then the agent that carries them and the guest binaries.
//! Leaves out bringing the tools, which is `setup`.

pub(crate) mod ebpf;
pub(crate) mod guest;

/// Builds everything that a guest or a host runs.
pub(crate) fn all() -> anyhow::Result<Vec<guest::Binary>> {
    ebpf::objects()?;
    guest::all()
}
