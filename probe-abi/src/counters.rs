//! Totals, one set per CPU, which user space maps and adds up.
//!
//! Never reset: readers take differences.

use crate::{functions::INTERRUPTED, strata::STRATA};

/// Everything the probes count on one CPU. 64-byte aligned so that two CPUs
/// never share a cache line.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct CpuCounters {
    /// Pages that calls of the `FOLL_PIN` family pinned, the zero page excepted.
    pub pages_pinned: u64,
    /// Pages that the `unpin_*` family released, the zero page excepted.
    pub pages_released: u64,
    /// Pages that calls of the `FOLL_GET` family took a reference on.
    pub pages_referenced: u64,
    /// Of those, pages whose release a hook saw (direct I/O before Linux 6.3).
    pub pages_unreferenced: u64,
    /// Calls of the GUP family that returned at least one page.
    pub gup_calls: u64,
    /// Calls of the `unpin_*` family.
    pub release_calls: u64,
    /// Pins that the kernel rolled back inside a pin call (a longterm pin that migrated).
    pub pages_rolled_back: u64,
    /// `folio_mkclean()` / `page_mkclean()` calls, by [`WalkKind`].
    pub walks: [u64; WALK_KINDS],
    /// Samples that a walk wanted to send: delivered plus `Lost::RING_FULL`.
    pub samples_issued: u64,
    /// Mapcount decrements of a tracked folio seen inside a zap during a walk.
    pub zaps_in_walk: u64,
    /// What was lost, by [`Lost`].
    pub lost: [u64; Lost::COUNT],
    /// Runs of references that a GUP took on a file folio under writeback.
    pub gups_in_writeback: u64,
    /// Pins less releases that are not in the ledger, by [`crate::stratum`]:
    /// of folios outside the sample, and of those that found no slot. Wraps, so
    /// that the sum over all CPUs is right.
    pub passed_over: [u64; STRATA],
    /// Releases that the ledger did not hold, by stratum; in pages. Where the ledger has
    /// all of a stratum, they are of pins from before the start, or of a pin that was
    /// not seen.
    pub unmatched: [u64; STRATA],
    /// Runs that the kernel kept from the first program on a release and that the
    /// second one, its fallback, made up for.
    pub fallback_runs: u64,
    /// For each of [`INTERRUPTED`], its calls that the first program has dealt with and the
    /// second has not come to, as far as they are on this CPU and nested.
    pub nested: [NestedCalls; INTERRUPTED.len()],
    /// Up to the end of the line.
    pub reserved: [u64; 3],
}

/// Calls on top of one another.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct NestedCalls {
    /// Each by a number of its own, the innermost last.
    pub calls: [u64; NESTED_CALLS],
    /// How many.
    pub height: u64,
}

/// Room for calls on top of one another; a power of two.
pub const NESTED_CALLS: usize = 8;

/// How a mkclean walk was dealt with; indexes [`CpuCounters::walks`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalkKind;

/// Number of walk kinds.
pub const WALK_KINDS: usize = 4;

impl WalkKind {
    /// Mapped nowhere: the kernel returns at once and there is nothing to judge.
    pub const UNMAPPED: usize = 0;
    /// Nothing pinned, nothing ever pinned since the last walk, counts equal:
    /// every estimator says "not pinned".
    pub const SETTLED: usize = 1;
    /// Sent to user space for judgement.
    pub const SAMPLED: usize = 2;
    /// Of a folio outside the ledger's sample: what holds it is not known, and
    /// it is not judged.
    pub const PASSED_OVER: usize = 3;
}

/// Causes of loss; index [`CpuCounters::lost`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost;

impl Lost {
    /// The ring had no room for a sample.
    pub const RING_FULL: usize = 0;
    /// The ledger had no slot for a folio; counted in pages.
    pub const LEDGER_FULL: usize = 1;
    /// An address in the kernel could not be read; counted in pages.
    pub const UNREADABLE: usize = 2;
    /// A release of pages that the ledger does not hold: pinned before the agent
    /// started, or lost on the way in; counted in pages. The probes count it by stratum
    /// ([`CpuCounters::unmatched`]): only the agent knows which strata are complete.
    pub const UNKNOWN_RELEASE: usize = 3;
    /// The table of threads inside a GUP call or a walk was full.
    pub const THREADS_FULL: usize = 4;
    /// A call was entered but its return was never seen.
    pub const RETURN_MISSED: usize = 5;
    /// A page array was longer than one probe run can walk; counted in pages.
    pub const TRUNCATED: usize = 6;
    /// A slot was contended beyond the retries; counted in pages.
    pub const CONTENDED: usize = 7;
    /// The kernel skipped a program, which would have interrupted itself; in
    /// runs, counted by the kernel and never by the probes.
    pub const HOOK_MISSED: usize = 8;
    /// No record for one more owner, or a folio with more owners than slots: the
    /// pins are in the ledger and their owner is not known; counted in pages.
    pub const OWNERS_FULL: usize = 9;
    /// A tombstone had to make room: that its folio was GUPed is forgotten; counted in
    /// folios.
    pub const TOMBSTONES: usize = 10;
    /// A hook saw nothing of what it has to see: function tracing is switched off, or its probe was
    /// taken away; in looks at it, counted by the agent and never by the probes.
    pub const HOOK_SILENT: usize = 11;
    /// Number of causes.
    pub const COUNT: usize = 12;
    /// Label values, in the order of the indexes.
    pub const NAMES: [&'static str; Self::COUNT] = [
        "ring_full",
        "ledger_full",
        "unreadable",
        "unknown_release",
        "threads_full",
        "return_missed",
        "truncated",
        "contended",
        "hook_missed",
        "owners_full",
        "tombstones_evicted",
        "hook_silent",
    ];
}

// The agent maps an array of these: its stride is part of the ABI.
const _: () = assert!(size_of::<CpuCounters>() == 640 && align_of::<CpuCounters>() == 64);
