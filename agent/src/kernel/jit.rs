//! `net.core.bpf_jit_enable`: without the compiler for BPF the kernel interprets programs, and
//! takes none that calls back, nor any trampoline.

use std::fs;

/// What is to be done about it.
pub(crate) const OFF: &str = "net.core.bpf_jit_enable is 0, and the kernel runs probes compiled only; \
                              `sysctl net.core.bpf_jit_enable=1` switches the compiler on";

/// Whether it is known to be off.
pub(crate) fn is_off() -> bool {
    fs::read("/proc/sys/net/core/bpf_jit_enable").is_ok_and(|it| it.trim_ascii() == b"0")
}
