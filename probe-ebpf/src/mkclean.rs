//! mkclean: writeback write-protects a folio's mappings; the moment at which
//! every estimator has to say whether the folio is pinned.
//!
//! Entry and exit of `folio_mkclean()` (`page_mkclean()` before folios), and
//! between them the true returns of `page_vma_mapped_walk()` on the same thread.

use core::mem::offset_of;

use aya_ebpf::{
    EbpfContext,
    macros::{fentry, fexit, kprobe, kretprobe, map},
    maps::RingBuf,
    programs::{FEntryContext, FExitContext, ProbeContext, RetProbeContext},
};
use aya_log_ebpf::warn;
use probe_abi::{CpuCounters, Lost, MkcleanSample, SampleFlags, WalkKind, folio_key};

use crate::{
    book::{
        counters, entries, settings,
        walks::{self, Walking},
    },
    kernel::{
        args::{Args, returned},
        clock,
        folio::{Folio, UNKNOWN},
        layout::layout,
        read::read_kernel,
        task,
    },
};

/// Samples for user space; the agent sets the size.
#[map]
static SAMPLES: RingBuf = RingBuf::with_byte_size(4096, 0);

#[inline(always)]
fn enter(ctx: &(impl Args + EbpfContext)) -> u32 {
    let (tid, address) = (task::tid(), ctx.arg(0));
    let Some(folio) = Folio::of(address) else {
        counters::lose(Lost::UNREADABLE, 1);
        walks::pass_over(tid);
        warn!(
            ctx,
            "cannot read the folio at {:x} that mkclean walks", address
        );
        return 0;
    };
    let book = entries::totals(&folio);
    let mapcount = folio.mapcount();
    if book.slots == 0 && mapcount == 0 && !folio.maybe_pinned() {
        counters::walk(WalkKind::UNMAPPED);
        walks::pass_over(tid);
        return 0;
    }
    if !ledger::keeps(folio_key(folio.address), settings::level()) {
        counters::walk(WalkKind::PASSED_OVER);
        walks::pass_over(tid);
        return 0;
    }
    let walk = Walking {
        thread: 0,
        at_ns: clock::awake(),
        argument: address,
        folio: folio.address,
        mapcount,
        pins: book.pins as u32,
        gets: book.gets as u32,
        gups: book.gups as u32,
        zaps: book.zaps as u32,
        ptes: 0,
        slots: book.slots as u32,
        reserved: 0,
    };
    walks::enter(tid, walk);
    0
}

/// `argument`: what was passed, where that can still be seen.
#[inline(always)]
fn leave(cleaned: u32, argument: Option<u64>) -> u32 {
    let tid = task::tid();
    let Some(walking) = walks::of(tid) else {
        return 0;
    };
    // SAFETY: a map value that only this thread changes.
    let walk = unsafe { *walking };
    walks::leave(walking);
    if argument.is_some_and(|it| it != walk.argument) {
        // This walk's entry was missed, and the return of that one.
        counters::lose(Lost::RETURN_MISSED, 2);
        return 0;
    }
    let Some(folio) = Folio::of(walk.folio) else {
        counters::lose(Lost::UNREADABLE, 1);
        return 0;
    };
    let book = entries::totals(&folio);
    let mapcount = folio.mapcount();
    let pinned = folio.maybe_pinned();
    let counts_equal = mapcount != UNKNOWN
        && mapcount == walk.mapcount
        && (layout!(ptes_hooked) == 0 || walk.ptes == walk.mapcount);
    let quiet = walk.pins == 0 && walk.gets == 0 && book.pins == 0 && book.gets == 0 && !pinned;
    if book.slots == 0 && quiet && counts_equal {
        counters::walk(WalkKind::SETTLED);
        return 0;
    }
    counters::walk(WalkKind::SAMPLED);
    counters::add(1, offset_of!(CpuCounters, samples_issued));
    let settles = quiet && counts_equal;
    let Some(mut slot) = SAMPLES.reserve::<MkcleanSample>(0) else {
        counters::lose(Lost::RING_FULL, 1);
        return 0;
    };
    let sample = slot.as_mut_ptr();
    // SAFETY: the ring lent us these bytes; every field is written below.
    unsafe {
        (&raw mut (*sample).at_ns).write(clock::awake());
        (&raw mut (*sample).walk_ns).write((*sample).at_ns.wrapping_sub(walk.at_ns));
        (&raw mut (*sample).folio).write(walk.folio);
        (&raw mut (*sample).mapping).write(folio.head.mapping());
        (&raw mut (*sample).index).write(folio.head.index());
        (&raw mut (*sample).tid).write(tid);
        (&raw mut (*sample).mapcount_entry).write(walk.mapcount);
        (&raw mut (*sample).mapcount_exit).write(mapcount);
        (&raw mut (*sample).pins_entry).write(walk.pins);
        (&raw mut (*sample).pins_exit).write(book.pins as u32);
        (&raw mut (*sample).gets_entry).write(walk.gets);
        (&raw mut (*sample).gets_exit).write(book.gets as u32);
        (&raw mut (*sample).ptes_found).write(walk.ptes);
        (&raw mut (*sample).zaps).write((book.zaps as u32).wrapping_sub(walk.zaps));
        (&raw mut (*sample).gups).write((book.gups as u32).wrapping_sub(walk.gups));
        (&raw mut (*sample).gups_entry).write(walk.gups);
        (&raw mut (*sample).cleaned).write(cleaned);
        (&raw mut (*sample).opened).write(book.opened as u32);
        (&raw mut (*sample).refcount).write(folio.head.refcount());
        (&raw mut (*sample).pages).write(folio.pages);
    }
    let mut pincount = 0;
    let mut flags = SampleFlags::TRUTH_KNOWN;
    if folio.counts_pins() {
        flags |= SampleFlags::LARGE;
        pincount = folio.pincount();
    }
    if book.slots > 0 || walk.slots > 0 {
        flags |= SampleFlags::GUPED;
    }
    if folio.head.flag(layout!(pg_private)) {
        flags |= SampleFlags::PRIVATE;
    }
    if folio.head.flag(layout!(pg_writeback)) {
        flags |= SampleFlags::WRITEBACK;
    }
    if walk.mapcount != UNKNOWN && mapcount != UNKNOWN {
        flags |= SampleFlags::MAPCOUNT_KNOWN;
    }
    if layout!(ptes_hooked) == 1 {
        flags |= SampleFlags::PTES_KNOWN;
    }
    // A slot that is gone took its decrements along, one that is new has none of before.
    if layout!(zaps_hooked) == 1 && book.slots as u32 == walk.slots {
        flags |= SampleFlags::ZAPS_KNOWN;
    }
    if folio.is_anon() {
        flags |= SampleFlags::ANON;
    } else if folio.head.mapping() != 0 {
        flags |= SampleFlags::CACHED;
    }
    if settles {
        flags |= SampleFlags::SETTLES;
    }
    let (inode, device) = file_of(&folio).unwrap_or((0, 0));
    // SAFETY: as above.
    unsafe {
        (&raw mut (*sample).pincount).write(pincount);
        (&raw mut (*sample).inode).write(inode);
        (&raw mut (*sample).device).write(device);
        (&raw mut (*sample).flags).write(flags);
    }
    slot.submit(0);
    if settles {
        entries::close(walk.folio, &book);
    }
    0
}

/// One page-table entry that maps the folio was found.
#[inline(always)]
fn found(returned: i32) -> u32 {
    if returned & 1 == 0 {
        return 0;
    }
    if let Some(walk) = walks::of(task::tid()) {
        // SAFETY: a map value that only this thread changes.
        unsafe { (*walk).ptes += 1 };
    }
    0
}

/// Inode number and device of the file that a folio caches.
#[inline(always)]
fn file_of(folio: &Folio) -> Option<(u64, u32)> {
    let mapping = folio.head.mapping();
    if mapping == 0 || folio.is_anon() {
        return None;
    }
    let host: u64 = read_kernel(mapping + u64::from(layout!(mapping_host)))?;
    let inode = read_kernel(host + u64::from(layout!(inode_ino)))?;
    let superblock: u64 = read_kernel(host + u64::from(layout!(inode_sb)))?;
    let device = read_kernel(superblock + u64::from(layout!(sb_dev)))?;
    Some((inode, device))
}

#[kprobe]
fn mkclean_kprobe(ctx: ProbeContext) -> u32 {
    enter(&ctx)
}

#[kretprobe]
fn mkclean_kretprobe(ctx: RetProbeContext) -> u32 {
    leave(ctx.ret::<u32>(), None)
}

#[fentry]
fn mkclean_fentry(ctx: FEntryContext) -> u32 {
    enter(&ctx)
}

#[fexit]
fn mkclean_fexit(ctx: FExitContext) -> u32 {
    leave(returned(&ctx, 1) as u32, Some(Args::arg(&ctx, 0)))
}

#[kretprobe]
fn page_vma_mapped_walk_kretprobe(ctx: RetProbeContext) -> u32 {
    found(ctx.ret::<i32>())
}

#[fexit]
fn page_vma_mapped_walk_fexit(ctx: FExitContext) -> u32 {
    found(returned(&ctx, 1))
}
