//! `cargo xtask build`: the eBPF objects, the agent and the guest binaries, in this order.
//! Leaves out bringing the tools, which is `setup`.

pub(crate) mod guest;

/// Builds everything that a guest or a host runs.
pub(crate) fn all() -> anyhow::Result<()> {
    guest::all().map(drop)
}
