//! How often the kernel ran a program, and how often it skipped one.
//!
//! It does the latter where a program would interrupt itself on the same CPU: an
//! interrupt on top of a probe, or (on preemptible kernels) another task. The
//! program counts what its own entry skipped, the link what the kprobe below it
//! did (Linux 6.7). aya shows neither, so the kernel is asked directly.

use std::{collections::HashMap, os::fd::OwnedFd};

use aya::{Ebpf, programs::ProgramFd};
use aya_obj::generated::{bpf_link_type, bpf_perf_event_type};
use hooks::is_fallback;

use super::kprobes::Kprobes;
use crate::kernel::sys::bpf;

/// The loaded programs, to be asked again and again.
pub(crate) struct Programs {
    programs: Vec<ProgramFd>,
    /// Programs of each hook that is attached.
    of_hooks: Vec<(&'static str, ProgramFd)>,
    /// Detached on drop, as what the object has attached.
    kprobes: Kprobes,
    _ebpf: Ebpf,
}

impl Programs {
    /// `attached`: hooks and the names of their programs.
    pub(super) fn new(ebpf: Ebpf, kprobes: Kprobes, attached: &[(&'static str, String)]) -> Self {
        let of_hooks = attached
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
            kprobes,
            _ebpf: ebpf,
        }
    }

    /// How often each hook's programs have run while runs were counted; of two the
    /// one that ran less.
    pub(crate) fn runs(&self) -> HashMap<&'static str, u64> {
        let mut runs = HashMap::new();
        for (hook, fd) in &self.of_hooks {
            let count = bpf::program_info(fd).map_or(0, |it| it.run_cnt);
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
        let skipped = |fd| bpf::program_info(fd).map_or(0, |it| it.recursion_misses);
        let programs = self.programs.iter().map(skipped);
        let links = self.kprobes.links().map(missed);
        programs.chain(links).sum::<u64>().saturating_sub(made_up)
    }
}

/// While this lives, the kernel counts how often every program runs.
pub(crate) struct CountedRuns(#[expect(dead_code, reason = "it counts until closed")] OwnedFd);

impl CountedRuns {
    /// `None` where it does not do so for this process: that takes `CAP_SYS_ADMIN`.
    pub(crate) fn begin() -> Option<Self> {
        bpf::count_runs().ok().map(Self)
    }
}

/// Calls that the kprobe below a link was kept from.
fn missed(link: &OwnedFd) -> u64 {
    const KPROBES: [u32; 2] = [
        bpf_perf_event_type::BPF_PERF_EVENT_KPROBE as u32,
        bpf_perf_event_type::BPF_PERF_EVENT_KRETPROBE as u32,
    ];
    let Some(info) = bpf::link_info(link) else {
        return 0;
    };
    if info.type_ != bpf_link_type::BPF_LINK_TYPE_PERF_EVENT as u32 {
        return 0;
    }
    // SAFETY: the part of the union that a link of this type has, plain integers.
    let event = unsafe { info.__bindgen_anon_1.perf_event };
    if KPROBES.contains(&event.type_) {
        // SAFETY: the same of an event of this type.
        unsafe { event.__bindgen_anon_1.kprobe.missed }
    } else {
        0
    }
}
