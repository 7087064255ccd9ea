//! Zap: an unmap clears page-table entries while a mkclean walk is under way.
//!
//! The clearing itself has no hook; the mapcount decrement that belongs to it
//! has. Whether a decrement is a zap's is read off the kernel stack, which
//! happens only for a tracked folio during a walk, so that an unmap costs a
//! comparison and nothing else.

use core::mem::offset_of;

use aya_ebpf::{
    macros::{fentry, kprobe, map},
    maps::Array,
    programs::{FEntryContext, ProbeContext},
};
use probe_abi::CpuCounters;

use crate::{
    args::{Args, Stack, call_path},
    atomic::xadd,
    counters,
    layout::layout,
    ledger,
};

/// Mkclean walks under way on the whole machine.
#[map]
static WALKS_UNDER_WAY: Array<u64> = Array::with_max_entries(1, 0);

/// Return addresses looked at: the zap sits a few frames above its decrement.
const FRAMES: usize = 16;

#[inline(always)]
pub(crate) fn walk_begins() {
    if let Some(walks) = WALKS_UNDER_WAY.get_ptr_mut(0) {
        xadd(walks, 1);
    }
}

#[inline(always)]
pub(crate) fn walk_ends() {
    if let Some(walks) = WALKS_UNDER_WAY.get_ptr_mut(0) {
        xadd(walks, u64::MAX);
    }
}

#[inline(always)]
fn decrement(ctx: &(impl Args + Stack), entries: u32) -> u32 {
    let Some(walks) = WALKS_UNDER_WAY.get_ptr(0) else {
        return 0;
    };
    // SAFETY: a map value, aligned and alive.
    if unsafe { walks.read_volatile() } == 0 {
        return 0;
    }
    if !inside_a_zap(ctx) {
        return 0;
    }
    let Some(folio) = crate::folio::Folio::of(ctx.arg(0)) else {
        return 0;
    };
    if ledger::note_zaps(folio.address, entries) == 1 {
        counters::add(u64::from(entries), offset_of!(CpuCounters, zaps_in_walk));
    }
    0
}

#[inline(always)]
fn inside_a_zap(ctx: &impl Stack) -> bool {
    let mut frames = [0u64; FRAMES];
    if call_path(ctx, &raw mut frames) == 0 {
        return false;
    }
    let (start, end) = (layout!(zap_start), layout!(zap_end));
    frames.iter().any(|frame| *frame >= start && *frame < end)
}

/// `(page, ..)`: one entry, up to 6.1.
#[kprobe]
fn page_remove_rmap_kprobe(ctx: ProbeContext) -> u32 {
    decrement(&ctx, 1)
}

/// As above.
#[fentry]
fn page_remove_rmap_fentry(ctx: FEntryContext) -> u32 {
    decrement(&ctx, 1)
}

/// `(folio, page, nr_pages, vma)`.
#[kprobe]
fn folio_remove_rmap_ptes_kprobe(ctx: ProbeContext) -> u32 {
    let entries = Args::arg(&ctx, 2) as u32;
    decrement(&ctx, entries)
}

/// As above.
#[fentry]
fn folio_remove_rmap_ptes_fentry(ctx: FEntryContext) -> u32 {
    let entries = Args::arg(&ctx, 2) as u32;
    decrement(&ctx, entries)
}
