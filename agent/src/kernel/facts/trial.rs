//! Attaches what does nothing and detaches it, to learn whether this process may and this kernel
//! can. Leaves out why not.

use std::io;

use crate::kernel::sys::{
    bpf,
    perf::{self, End},
};

/// What attaching to `function` does, without a program.
pub(super) fn open_kprobe(function: &str) -> io::Result<()> {
    perf::open_kprobe(function, End::Entry).map(drop)
}

/// Attaches a program that returns to the function with this BTF id. A kernel may load it and then
/// have no trampoline for a function of so many arguments.
pub(super) fn attach_fentry(function: u32) -> io::Result<()> {
    /// `r0 = 0; exit`
    const RETURN: [u64; 2] = [0xb7, 0x95];
    let program = bpf::load_fentry(&RETURN, function)?;
    bpf::attach_tracing(&program).map(drop)
}
