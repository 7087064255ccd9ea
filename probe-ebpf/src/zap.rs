//! Zap: an unmap clears page-table entries while a mkclean walk is under way.
//!
//! The clearing itself has no hook; the mapcount decrement that belongs to it
//! has. Whether a decrement is a zap's is read off the kernel stack, which
//! happens only for a tracked folio during a walk, so that an unmap costs a
//! comparison and nothing else.

use core::mem::offset_of;

use aya_ebpf::{
    macros::{fentry, kprobe},
    programs::{FEntryContext, ProbeContext},
};
use probe_abi::CpuCounters;

use crate::{
    book::{counters, entries, walks},
    kernel::{
        args::{Args, Stack, call_path},
        folio::Folio,
        layout::layout,
    },
};

/// Return addresses looked at: the zap sits a few frames above its decrement.
const FRAMES: usize = 16;

#[inline(always)]
fn decrement(ctx: &(impl Args + Stack), n: u32) -> u32 {
    if !walks::are_any() {
        return 0;
    }
    let Some(folio) = Folio::of(ctx.arg(0)) else {
        return 0;
    };
    let noted = entries::note_zaps(folio.address, n, || inside_a_zap(ctx));
    if noted > 0 {
        counters::add(noted, offset_of!(CpuCounters, zaps_in_walk));
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
