//! Small programs of a few instructions: what does nothing is attached and detached, to learn
//! whether this process may and this kernel can; a variable of the kernel is read. Leaves out why
//! not.

use std::io;

use aya_obj::generated::bpf_func_id;

use crate::kernel::{
    instructions::{
        NOTHING, R0, R1, R2, R3, STACK, add, call, copy, exit, load_32, set, set_long,
        skip_unless_zero,
    },
    sys::{
        bpf,
        perf::{self, End},
    },
};

/// What attaching to `function` does, without a program.
pub(super) fn open_kprobe(function: &str) -> io::Result<()> {
    perf::open_kprobe(function, End::Entry).map(drop)
}

/// Attaches a program that returns to the function with this BTF id. A kernel may load it and then
/// have no trampoline for a function of so many arguments.
pub(super) fn attach_fentry(function: u32) -> io::Result<()> {
    let program = bpf::load_fentry(&NOTHING, function)?;
    bpf::attach_tracing(&program).map(drop)
}

/// A variable of 32 bits of the kernel; -1 where it cannot be read.
pub(super) fn read_kernel(address: u64) -> io::Result<u32> {
    let [low, high] = set_long(R3, address);
    let program = bpf::load_raw_tracepoint(&[
        copy(R1, STACK),
        add(R1, -8),
        set(R2, size_of::<u32>() as i32),
        low,
        high,
        call(bpf_func_id::BPF_FUNC_probe_read_kernel),
        skip_unless_zero(R0, 2),
        load_32(R0, STACK, -8),
        exit(),
        set(R0, -1),
        exit(),
    ])?;
    // A program that has no arguments is refused.
    bpf::run_once(&program, &[0])
}
