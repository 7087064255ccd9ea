//! Walking a set of pages folio by folio, and entering each run in the ledger.
//!
//! Neighbouring pages of one folio cost one comparison each: the folio is
//! looked up once, and its references are counted up before they are booked.

use core::{ffi::c_void, mem::offset_of};

use aya_ebpf::{helpers::bpf_loop, macros::map, maps::Array};
use probe_abi::{CpuCounters, Kind, Lost, folio_key};

use crate::{
    counters,
    folio::{Folio, read_kernel},
    layout::layout,
    ledger,
    unknown::unknown_zero,
};

/// Page pointers fetched at once inside a large folio.
const CHUNK: usize = 16;
/// Bytes of a page pointer.
const POINTER: u64 = 8;
/// Longest run of one call: 8 Mi folios, the limit of `bpf_loop`.
const MAX_FOLIOS: u64 = 1 << 23;

/// What the agent finds out only once the probes run: at 0, the ledger key of
/// the zero page, where this kernel takes no pin on it.
#[map]
static SETTINGS: Array<u64> = Array::with_max_entries(1, 0);

/// Key of the page whose pins do not count; 0, the key of no folio, if all do.
#[inline(always)]
fn zero_page() -> u64 {
    SETTINGS.get(0).copied().unwrap_or(0)
}

/// What to do with each page.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// `FOLL_PIN`.
    Pin,
    /// Its release.
    Unpin,
    /// `FOLL_GET`.
    Get,
    /// Its release.
    Put,
}

/// A walk under way. Plain words: it lives on the stack of the program that
/// started it, and the loop callback reaches it through a pointer.
#[repr(C)]
struct Walk {
    /// Next page pointer to fetch, or next page. Addresses, and no count of
    /// what is left: a count that the verifier can follow down would make it
    /// walk the loop as often as the kernel may.
    at: u64,
    /// Where to stop.
    stop: u64,
    /// [`Act`], as a number.
    act: u64,
    /// Head of the folio of the current run; 0 before the first.
    head: u64,
    /// First byte after that folio's last `struct page`.
    end: u64,
    /// References in the current run.
    run: u64,
    /// Pages that count: all but the zero page.
    counted: u64,
}

/// Walks an array of `n` page (or folio) pointers; returns how many count.
#[inline(always)]
pub(crate) fn walk_array(array: u64, n: u64, act: Act) -> u64 {
    let mut walk = Walk::new(array, array + n * POINTER, act);
    if n == 1 {
        next_of_array(0, (&raw mut walk).cast::<c_void>());
    } else {
        walk.repeat(n, next_of_array);
    }
    walk.finish(POINTER)
}

/// One reference on each of `n` pages that lie side by side.
#[inline(always)]
pub(crate) fn walk_range(first: u64, n: u64, act: Act) -> u64 {
    let size = u64::from(layout!(page_size));
    let mut walk = Walk::new(first, first + n * size, act);
    walk.repeat(n, next_of_range);
    walk.finish(size)
}

/// `n` references on the folio of one page; returns how many count.
#[inline(always)]
pub(crate) fn one(page: u64, n: u64, act: Act) -> u64 {
    let mut walk = Walk::new(0, 0, act);
    start_run(&mut walk, page, n);
    walk.finish(POINTER)
}

impl Walk {
    #[inline(always)]
    fn new(at: u64, stop: u64, act: Act) -> Self {
        let zero = unknown_zero();
        Self {
            at,
            stop,
            act: act as u64,
            head: zero,
            end: zero,
            run: zero,
            counted: zero,
        }
    }

    /// Calls `step` until nothing is left; each call visits one of `n` pages at
    /// least.
    #[inline(always)]
    fn repeat(&mut self, n: u64, step: extern "C" fn(u64, *mut c_void) -> i64) {
        let times = n.min(MAX_FOLIOS) as u32;
        // SAFETY: the callback has the signature the helper wants, and the walk
        // outlives the loop.
        unsafe {
            bpf_loop(
                times,
                step as *mut c_void,
                (&raw mut *self).cast::<c_void>(),
                0,
            )
        };
    }

    /// Books the last run; returns how many pages count. What was not reached
    /// counts as well: `stride` bytes each.
    #[inline(always)]
    fn finish(&mut self, stride: u64) -> u64 {
        if self.at < self.stop {
            let left = (self.stop - self.at).checked_div(stride).unwrap_or(0);
            counters::lose(Lost::TRUNCATED, left);
            self.counted += left;
        }
        book(self.head, self.run, self.act);
        self.counted
    }
}

/// Visits the next pointers of an array: all those inside the current folio, or
/// the first of another one.
#[inline(never)]
extern "C" fn next_of_array(_index: u64, walk: *mut c_void) -> i64 {
    // SAFETY: the pointer that `walk_array` passed.
    let walk = unsafe { &mut *walk.cast::<Walk>() };
    if walk.at >= walk.stop {
        return 1;
    }
    // A small folio is followed by another one: fetch no more than its pointer.
    if walk.end - walk.head > u64::from(layout!(page_size))
        && walk.stop - walk.at >= CHUNK as u64 * POINTER
    {
        let Some(pages) = read_kernel::<[u64; CHUNK]>(walk.at) else {
            return unreadable(walk, CHUNK as u64);
        };
        let mut inside = 0;
        for page in pages {
            if page < walk.head || page >= walk.end {
                break;
            }
            inside += 1;
        }
        if inside > 0 {
            walk.run += inside;
            walk.counted += inside;
            walk.at += inside * POINTER;
            return 0;
        }
    }
    let Some(page) = read_kernel::<u64>(walk.at) else {
        return unreadable(walk, 1);
    };
    walk.at += POINTER;
    if page >= walk.head && page < walk.end {
        walk.run += 1;
        walk.counted += 1;
    } else {
        start_run(walk, page, 1);
    }
    0
}

/// Visits the next folio of a range of pages.
extern "C" fn next_of_range(_index: u64, walk: *mut c_void) -> i64 {
    // SAFETY: the pointer that `walk_range` passed.
    let walk = unsafe { &mut *walk.cast::<Walk>() };
    if walk.at >= walk.stop {
        return 1;
    }
    let first = walk.at;
    let size = u64::from(layout!(page_size));
    start_run(walk, first, 1);
    walk.at = first + size;
    // The rest of this folio, without looking at its pages.
    let end = walk.end.min(walk.stop);
    if end > walk.at {
        let rest = (end - walk.at).checked_div(size).unwrap_or(0);
        walk.run += rest;
        walk.counted += rest;
        walk.at = end;
    }
    0
}

/// Passes over pages that cannot be told; the API counted them all the same.
#[inline(always)]
fn unreadable(walk: &mut Walk, n: u64) -> i64 {
    counters::lose(Lost::UNREADABLE, n);
    walk.counted += n;
    walk.at += n * POINTER;
    0
}

/// Books the current run, and starts one of `n` references at a page of another
/// folio.
#[inline(always)]
fn start_run(walk: &mut Walk, page: u64, n: u64) {
    book(walk.head, walk.run, walk.act);
    walk.head = unknown_zero();
    walk.end = unknown_zero();
    walk.run = unknown_zero();
    if folio_key(page) == zero_page() {
        return;
    }
    walk.counted += n;
    let Some(folio) = Folio::of(page) else {
        counters::lose(Lost::UNREADABLE, n);
        return;
    };
    walk.head = folio.address;
    walk.end = folio.address + u64::from(folio.pages) * u64::from(layout!(page_size));
    walk.run = n + unknown_zero();
}

/// Enters a run of references in the ledger.
#[inline(never)]
fn book(head: u64, run: u64, act: u64) -> u32 {
    if run == 0 {
        return 0;
    }
    let Some(folio) = Folio::of(head) else {
        counters::lose(Lost::UNREADABLE, run);
        return 0;
    };
    let anon = folio.is_anon();
    let n = run as u32;
    let gup = act == Act::Pin as u64 || act == Act::Get as u64;
    if gup && !anon && folio.head.flag(layout!(pg_writeback)) {
        // The race that the mail has a GUP wait for.
        counters::add(1, offset_of!(CpuCounters, gups_in_writeback));
    }
    if act == Act::Pin as u64 {
        ledger::pin(&folio, Kind::Pin, n);
    } else if act == Act::Unpin as u64 {
        // Nothing writes an anonymous folio back through mkclean: once its last
        // pin is gone there is nothing to remember.
        let unknown = ledger::release(&folio, Kind::Pin, n, anon);
        if unknown > 0 {
            counters::lose(Lost::UNKNOWN_RELEASE, unknown);
        }
    } else if anon {
        // A plain reference to anonymous memory means nothing to writeback, and
        // most of them are given back where no hook can see it.
    } else if act == Act::Get as u64 {
        ledger::pin(&folio, Kind::Get, n);
    } else {
        // A bio also drops references that no GUP took (splice, loop), so what
        // the book does not hold is no loss here.
        ledger::release(&folio, Kind::Get, n, false);
    }
    0
}
