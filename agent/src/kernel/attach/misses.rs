//! How often the kernel ran a program, and how often it skipped one.
//!
//! It does the latter where a program would interrupt itself on the same CPU: an
//! interrupt on top of a probe, or (on preemptible kernels) another task. The
//! program counts what its own entry skipped, the link what the kprobe below it
//! did (Linux 6.7). aya shows neither, so the kernel is asked directly.

use std::{
    collections::HashMap,
    fs, mem,
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd},
};

use aya::{Ebpf, programs::ProgramFd};
use aya_obj::generated::bpf_prog_info;
use hooks::is_fallback;

use super::returns::Returns;

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

/// `BPF_ENABLE_STATS` of `BPF_STATS_RUN_TIME`, include/uapi/linux/bpf.h.
const ENABLE_STATS: libc::c_long = 32;
static RUN_TIME: u32 = 0;

/// The loaded programs, to be asked again and again.
pub(crate) struct Programs {
    programs: Vec<ProgramFd>,
    /// Programs of each hook that something serves.
    of_hooks: Vec<(&'static str, ProgramFd)>,
    /// Open for as long as the object below, which keeps them to itself.
    links: Vec<RawFd>,
    /// Detach on drop.
    _returns: Returns,
    _ebpf: Ebpf,
}

impl Programs {
    /// `served`: hooks and the names of their programs.
    pub(super) fn new(ebpf: Ebpf, returns: Returns, served: &[(&'static str, String)]) -> Self {
        let of_hooks = served
            .iter()
            .filter_map(|(hook, name)| {
                Some((*hook, ebpf.program(name)?.fd().ok()?.try_clone().ok()?))
            })
            .collect();
        // A program that was not loaded has no descriptor, and misses nothing.
        // What a fallback is kept from, the program before it has done.
        let programs = ebpf
            .programs()
            .filter(|(name, _)| !is_fallback(name))
            .filter_map(|(_, program)| program.fd().ok()?.try_clone().ok())
            .collect();
        Self {
            programs,
            of_hooks,
            links: links(),
            _returns: returns,
            _ebpf: ebpf,
        }
    }

    /// How often each hook's programs have run while runs were counted; of two the
    /// one that ran less.
    pub(crate) fn runs(&self) -> HashMap<&'static str, u64> {
        let mut runs = HashMap::new();
        for (hook, fd) in &self.of_hooks {
            let count = info(fd.as_fd().as_raw_fd()).map_or(0, |it| it.run_cnt);
            let least = runs.entry(*hook).or_insert(count);
            *least = count.min(*least);
        }
        runs
    }

    /// Runs skipped so far and not made up for, over all programs and links; those
    /// that the kernel does not count are not in it.
    ///
    /// `made_up`: read before, so that no run is made up for that was not skipped.
    pub(crate) fn misses(&self, made_up: u64) -> u64 {
        let programs = self
            .programs
            .iter()
            .map(|fd| skipped(fd.as_fd().as_raw_fd()));
        let links = self.links.iter().map(|fd| missed(*fd));
        programs.chain(links).sum::<u64>().saturating_sub(made_up)
    }
}

/// While this lives, the kernel counts how often every program runs.
pub(crate) struct CountedRuns(#[expect(dead_code, reason = "it counts until closed")] OwnedFd);

impl CountedRuns {
    /// `None` where it does not do so for this process: that takes `CAP_SYS_ADMIN`.
    pub(crate) fn begin() -> Option<Self> {
        // SAFETY: the kernel reads as many bytes as said.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_bpf,
                ENABLE_STATS,
                &raw const RUN_TIME,
                size_of_val(&RUN_TIME),
            )
        };
        let fd = i32::try_from(fd).ok().filter(|it| *it >= 0)?;
        // SAFETY: the kernel has just given it to us alone.
        Some(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
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
    info(program).map_or(0, |it| it.recursion_misses)
}

fn info(program: RawFd) -> Option<bpf_prog_info> {
    // SAFETY: plain integers, for which zero is a value.
    let mut info: bpf_prog_info = unsafe { mem::zeroed() };
    ask(program, &mut info).then_some(info)
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
