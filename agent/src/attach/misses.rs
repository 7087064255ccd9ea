//! How often the kernel skipped a program.
//!
//! It does so where a program would interrupt itself on the same CPU: an
//! interrupt on top of a probe, or (on preemptible kernels) another task. aya
//! does not show the figure, so the kernel is asked directly.

use std::{
    mem,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
};

use aya::{Ebpf, programs::ProgramFd};
use aya_obj::generated::bpf_prog_info;

/// `BPF_OBJ_GET_INFO_BY_FD`, include/uapi/linux/bpf.h.
const GET_INFO: libc::c_long = 15;

/// The `info` member of `union bpf_attr`.
#[repr(C)]
struct Attributes {
    fd: u32,
    length: u32,
    info: u64,
}

/// The loaded programs, to be asked again and again.
pub(crate) struct Programs {
    fds: Vec<ProgramFd>,
    /// Detaches on drop.
    _ebpf: Ebpf,
}

impl Programs {
    pub(super) fn new(ebpf: Ebpf) -> Self {
        // A program that was not loaded has no descriptor, and misses nothing.
        let fds = ebpf
            .programs()
            .filter_map(|(_, program)| program.fd().ok()?.try_clone().ok())
            .collect();
        Self { fds, _ebpf: ebpf }
    }

    /// Runs skipped so far, over all programs; 0 from kernels that do not count.
    pub(crate) fn misses(&self) -> u64 {
        self.fds.iter().map(|fd| misses(fd.as_fd())).sum()
    }
}

fn misses(fd: BorrowedFd<'_>) -> u64 {
    // SAFETY: plain integers, for which zero is a value.
    let mut info: bpf_prog_info = unsafe { mem::zeroed() };
    let attributes = Attributes {
        fd: fd.as_raw_fd() as u32,
        length: size_of::<bpf_prog_info>() as u32,
        info: (&raw mut info) as u64,
    };
    // SAFETY: the kernel writes at most `length` bytes at `info`, and both
    // outlive the call.
    let failed = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            GET_INFO,
            &raw const attributes,
            size_of::<Attributes>(),
        )
    };
    if failed == 0 {
        info.recursion_misses
    } else {
        0
    }
}
