//! How often the kernel ran a program, and how often it skipped one.
//!
//! It does the latter where a program would interrupt itself on the same CPU: an
//! interrupt on top of a probe, or (on preemptible kernels) another task. The
//! program counts what its own entry skipped, the link what the kprobe below it
//! did (Linux 6.7). aya shows neither, so the kernel is asked directly.

use std::{
    collections::{BTreeMap, HashMap},
    fs, mem,
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd},
};

use aya::{Ebpf, programs::ProgramFd};
use aya_obj::generated::{bpf_attr, bpf_cmd, bpf_prog_info, bpf_stats_type};
use hooks::is_fallback;

use super::returns::Returns;
use crate::kernel::sys;

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

/// Runs that the kernel skipped and nothing made up for, by hook.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Misses(BTreeMap<&'static str, u64>);

impl Misses {
    /// Of all hooks.
    pub(crate) fn all(&self) -> u64 {
        self.0.values().sum()
    }

    /// Of those hooks that `counts` picks.
    pub(crate) fn of(&self, counts: impl Fn(&str) -> bool) -> u64 {
        let counted = self.0.iter().filter(|(hook, _)| counts(hook));
        counted.map(|(_, runs)| runs).sum()
    }

    /// Each by itself.
    pub(crate) fn by_hook(self) -> BTreeMap<&'static str, u64> {
        self.0
    }
}

/// The loaded programs, to be asked again and again.
pub(crate) struct Programs {
    /// Programs of each hook that something serves.
    of_hooks: Vec<OfHook>,
    /// Links with the hook of each; open for as long as the object below, which keeps them to
    /// itself.
    links: Vec<(&'static str, RawFd)>,
    /// Detach on drop.
    _returns: Returns,
    _ebpf: Ebpf,
}

/// A program of a hook.
struct OfHook {
    hook: &'static str,
    program: ProgramFd,
    /// What it is kept from, the program before it has done.
    is_fallback: bool,
}

impl Programs {
    /// `served`: hooks and the names of their programs.
    pub(super) fn new(ebpf: Ebpf, returns: Returns, served: &[(&'static str, String)]) -> Self {
        let of_hooks: Vec<OfHook> = served
            .iter()
            .filter_map(|(hook, name)| {
                Some(OfHook {
                    hook,
                    program: ebpf.program(name)?.fd().ok()?.try_clone().ok()?,
                    is_fallback: is_fallback(name),
                })
            })
            .collect();
        let hook_of = |id: u32| {
            let mut programs = of_hooks.iter();
            programs.find(|it| info(it.fd()).is_some_and(|it| it.id == id))
        };
        let links = links().into_iter().filter_map(|link| {
            let kprobe = kprobe_link(link)?;
            Some((hook_of(kprobe.program)?.hook, link))
        });
        Self {
            links: links.collect(),
            of_hooks,
            _returns: returns,
            _ebpf: ebpf,
        }
    }

    /// How often each hook's programs have run while runs were counted; of two the
    /// one that ran less.
    pub(crate) fn runs(&self) -> HashMap<&'static str, u64> {
        let mut runs = HashMap::new();
        for it in &self.of_hooks {
            let count = info(it.fd()).map_or(0, |it| it.run_cnt);
            let least = runs.entry(it.hook).or_insert(count);
            *least = count.min(*least);
        }
        runs
    }

    /// Runs skipped so far and not made up for; those that the kernel does not count are not
    /// among them.
    ///
    /// `made_up`: of releases, read before, so that no run is made up for that was not skipped.
    pub(crate) fn misses(&self, made_up: u64) -> Misses {
        let mut misses = BTreeMap::new();
        let mut left = made_up;
        for it in self.of_hooks.iter().filter(|it| !it.is_fallback) {
            let skipped = info(it.fd()).map_or(0, |it| it.recursion_misses);
            let has_fallback = |other: &OfHook| other.is_fallback && other.hook == it.hook;
            let made_up = if self.of_hooks.iter().any(has_fallback) {
                skipped.min(left)
            } else {
                0
            };
            left -= made_up;
            *misses.entry(it.hook).or_default() += skipped - made_up;
        }
        for (hook, link) in &self.links {
            let missed = kprobe_link(*link).map_or(0, |it| it.missed);
            *misses.entry(*hook).or_default() += missed;
        }
        Misses(misses)
    }
}

impl OfHook {
    fn fd(&self) -> RawFd {
        self.program.as_fd().as_raw_fd()
    }
}

/// While this lives, the kernel counts how often every program runs.
pub(crate) struct CountedRuns(#[expect(dead_code, reason = "it counts until closed")] OwnedFd);

impl CountedRuns {
    /// `None` where it does not do so for this process: that takes `CAP_SYS_ADMIN`.
    pub(crate) fn begin() -> Option<Self> {
        // SAFETY: plain integers, for which zero is a value.
        let mut attributes: bpf_attr = unsafe { mem::zeroed() };
        attributes.enable_stats.type_ = bpf_stats_type::BPF_STATS_RUN_TIME as u32;
        let fd = sys::bpf(bpf_cmd::BPF_ENABLE_STATS, &mut attributes).ok()?;
        let fd = i32::try_from(fd).ok()?;
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

fn info(program: RawFd) -> Option<bpf_prog_info> {
    // SAFETY: plain integers, for which zero is a value.
    let mut info: bpf_prog_info = unsafe { mem::zeroed() };
    ask(program, &mut info).then_some(info)
}

fn kprobe_link(link: RawFd) -> Option<KprobeLink> {
    let mut info = KprobeLink::default();
    let is_kprobe =
        ask(link, &mut info) && info.kind == PERF_EVENT && KPROBES.contains(&info.event);
    is_kprobe.then_some(info)
}

/// Fills `info`, plain integers all of it, as far as this kernel knows it.
fn ask<T>(fd: RawFd, info: &mut T) -> bool {
    // SAFETY: plain integers, for which zero is a value.
    let mut attributes: bpf_attr = unsafe { mem::zeroed() };
    attributes.info.bpf_fd = fd.cast_unsigned();
    attributes.info.info_len = size_of::<T>() as u32;
    attributes.info.info = (info as *mut T) as u64;
    sys::bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attributes).is_ok()
}
