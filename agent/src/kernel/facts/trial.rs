//! Small programs of a few instructions: what does nothing is attached and detached, to learn
//! whether this process may and this kernel can; a variable of the kernel is read. Leaves out why
//! not.

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

/// A variable of 32 bits of the kernel.
pub(super) fn read_kernel(address: u64) -> io::Result<u32> {
    /// `r0 = -1; exit`, where it cannot be read.
    const UNREADABLE: [u64; 2] = [0xffff_ffff_0000_00b7, 0x95];
    let program = bpf::load_raw_tracepoint(&[
        // bpf_probe_read_kernel(r10 - 8, 4, address)
        0xa1bf,
        0xffff_fff8_0000_0107,
        0x0000_0004_0000_02b7,
        address << 32 | 0x0318,
        address >> 32 << 32,
        0x0000_0071_0000_0085,
        // if r0 != 0 goto UNREADABLE; r0 = *(u32 *)(r10 - 8); exit
        0x0002_0055,
        0xfff8_a061,
        0x95,
        UNREADABLE[0],
        UNREADABLE[1],
    ])?;
    // A program that has no arguments is refused.
    bpf::run_once(&program, &[0])
}
