//! How often the kernel skipped a program.
//!
//! It does so where a program would interrupt itself on the same CPU: an
//! interrupt on top of a probe, or (on preemptible kernels) another task. The
//! program counts what its own entry skipped, the link what the kprobe below it
//! did (Linux 6.7). aya shows neither, so the kernel is asked directly.

use std::{
    fs, mem,
    os::fd::{AsFd, AsRawFd, RawFd},
};

use aya::{Ebpf, programs::ProgramFd};
use aya_obj::generated::bpf_prog_info;

/// `BPF_OBJ_GET_INFO_BY_FD`, include/uapi/linux/bpf.h.
const GET_INFO: libc::c_long = 15;

/// `struct bpf_link_info` of a kprobe: `perf_event.kprobe`, up to its end.
#[repr(C)]
#[derive(Default)]
struct KprobeLink {
    kind: u32,
    id: u32,
    program: u32,
    padding: u32,
    event: u32,
    padding_too: u32,
    name: u64,
    name_length: u32,
    offset: u32,
    address: u64,
    missed: u64,
}

/// `BPF_LINK_TYPE_PERF_EVENT`, and its events that are kprobes.
const PERF_EVENT: u32 = 7;
const KPROBES: [u32; 2] = [3, 4];

/// The `info` member of `union bpf_attr`.
#[repr(C)]
struct Attributes {
    fd: u32,
    length: u32,
    info: u64,
}

/// The loaded programs, to be asked again and again.
pub(crate) struct Programs {
    programs: Vec<ProgramFd>,
    /// Open for as long as the object below, which keeps them to itself.
    links: Vec<RawFd>,
    /// Detaches on drop.
    _ebpf: Ebpf,
}

impl Programs {
    pub(super) fn new(ebpf: Ebpf) -> Self {
        // A program that was not loaded has no descriptor, and misses nothing.
        let programs = ebpf
            .programs()
            .filter_map(|(_, program)| program.fd().ok()?.try_clone().ok())
            .collect();
        Self {
            programs,
            links: links(),
            _ebpf: ebpf,
        }
    }

    /// Runs skipped so far, over all programs and links; those that the kernel
    /// does not count are not in it.
    pub(crate) fn misses(&self) -> u64 {
        let programs = self
            .programs
            .iter()
            .map(|fd| skipped(fd.as_fd().as_raw_fd()));
        let links = self.links.iter().map(|fd| missed(*fd));
        programs.chain(links).sum()
    }
}

/// Descriptors of this process that are BPF links.
fn links() -> Vec<RawFd> {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter(|it| {
            fs::read_link(it.path()).is_ok_and(|it| it.to_string_lossy().contains("bpf_link"))
        })
        .filter_map(|it| it.file_name().to_str()?.parse().ok())
        .collect()
}

fn skipped(program: RawFd) -> u64 {
    // SAFETY: plain integers, for which zero is a value.
    let mut info: bpf_prog_info = unsafe { mem::zeroed() };
    if ask(program, &mut info) {
        info.recursion_misses
    } else {
        0
    }
}

fn missed(link: RawFd) -> u64 {
    let mut info = KprobeLink::default();
    if ask(link, &mut info) && info.kind == PERF_EVENT && KPROBES.contains(&info.event) {
        info.missed
    } else {
        0
    }
}

/// Fills `info`, plain integers all of it, as far as this kernel knows it.
fn ask<T>(fd: RawFd, info: &mut T) -> bool {
    let attributes = Attributes {
        fd: fd as u32,
        length: size_of::<T>() as u32,
        info: (info as *mut T) as u64,
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
    failed == 0
}
