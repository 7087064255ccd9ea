//! Walking a set of pages folio by folio, and entering each run in the ledger.
//!
//! Neighbouring pages of one folio cost one comparison each: the folio is
//! looked up once, and its references are counted up before they are booked.

use core::ffi::c_void;

use aya_ebpf::helpers::{bpf_loop, bpf_probe_read_kernel_buf};
use probe_abi::{Kind, Lost};

use crate::{
    counters,
    folio::{Folio, read_kernel},
    layout::layout,
    ledger,
};

/// Page pointers fetched at once.
const CHUNK: usize = 16;
/// Longest array walked, in chunks: 16 Mi pages, 64 GiB in one call.
const MAX_CHUNKS: u32 = 1 << 20;

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
    /// Next page pointer to fetch, for arrays.
    array: u64,
    /// Pages left to visit.
    left: u64,
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
    let mut walk = Walk::new(array, n, act);
    if n <= CHUNK as u64 {
        chunk(&mut walk);
    } else {
        let chunks = n.div_ceil(CHUNK as u64).min(u64::from(MAX_CHUNKS)) as u32;
        // SAFETY: the callback has the signature the helper wants, and the walk
        // outlives the loop.
        unsafe {
            bpf_loop(
                chunks,
                next_chunk as *mut c_void,
                (&raw mut walk).cast::<c_void>(),
                0,
            );
        }
        if walk.left > 0 {
            counters::lose(Lost::TRUNCATED, walk.left);
            walk.counted += walk.left;
        }
    }
    book(&walk);
    walk.counted
}

/// `n` references on the folio of one page; returns how many count.
#[inline(always)]
pub(crate) fn one(page: u64, n: u64, act: Act) -> u64 {
    let mut walk = Walk::new(0, 0, act);
    visit(&mut walk, page, n);
    book(&walk);
    walk.counted
}

/// One reference on each of `n` pages that lie side by side.
#[inline(always)]
pub(crate) fn walk_range(first: u64, n: u64, act: Act) -> u64 {
    let mut walk = Walk::new(first, n, act);
    // SAFETY: as in `walk_array`.
    unsafe {
        bpf_loop(
            n.min(u64::from(MAX_CHUNKS)) as u32,
            next_folio as *mut c_void,
            (&raw mut walk).cast::<c_void>(),
            0,
        );
    }
    if walk.left > 0 {
        counters::lose(Lost::TRUNCATED, walk.left);
        walk.counted += walk.left;
    }
    book(&walk);
    walk.counted
}

impl Walk {
    #[inline(always)]
    fn new(array: u64, n: u64, act: Act) -> Self {
        Self {
            array,
            left: n,
            act: act as u64,
            head: 0,
            end: 0,
            run: 0,
            counted: 0,
        }
    }
}

extern "C" fn next_chunk(_index: u64, walk: *mut c_void) -> i64 {
    // SAFETY: the pointer that `walk_array` passed.
    let walk = unsafe { &mut *walk.cast::<Walk>() };
    chunk(walk);
    i64::from(walk.left == 0)
}

#[inline(always)]
fn chunk(walk: &mut Walk) {
    let mut pages = [0u64; CHUNK];
    let n = if walk.left < CHUNK as u64 {
        walk.left as usize
    } else {
        CHUNK
    };
    if !fetch(walk.array, n, &mut pages) {
        counters::lose(Lost::UNREADABLE, n as u64);
        walk.counted += n as u64;
        walk.left -= n as u64;
        return;
    }
    for (i, page) in pages.iter().enumerate() {
        if i >= n {
            break;
        }
        let page = *page;
        if page >= walk.head && page < walk.end {
            walk.run += 1;
            walk.counted += 1;
        } else {
            visit(walk, page, 1);
        }
    }
    walk.array += (n * 8) as u64;
    walk.left -= n as u64;
}

/// Copies `n` pointers. Two sizes only, because a length that the verifier has
/// to bound costs more than the bytes.
#[inline(always)]
fn fetch(array: u64, n: usize, pages: &mut [u64; CHUNK]) -> bool {
    if n == 1 {
        let Some(page) = read_kernel(array) else {
            return false;
        };
        pages[0] = page;
        return true;
    }
    let bytes = (n * 8) & (CHUNK * 16 - 1);
    if bytes > CHUNK * 8 {
        return false;
    }
    // SAFETY: the array of pointers is valid for any bytes.
    let buffer = unsafe { core::slice::from_raw_parts_mut(pages.as_mut_ptr().cast::<u8>(), bytes) };
    // SAFETY: the helper checks the address and fails instead of faulting.
    unsafe { bpf_probe_read_kernel_buf(array as *const u8, buffer) }.is_ok()
}

extern "C" fn next_folio(_index: u64, walk: *mut c_void) -> i64 {
    // SAFETY: the pointer that `walk_range` passed.
    let walk = unsafe { &mut *walk.cast::<Walk>() };
    if walk.left == 0 {
        return 1;
    }
    let first = walk.array;
    let size = u64::from(layout!(page_size));
    visit(walk, first, 1);
    walk.left -= 1;
    let mut step = size;
    if walk.end > first + size {
        // The rest of this folio, without looking at its pages.
        let mut more = (walk.end - first) / 64 - 1;
        if more > walk.left {
            more = walk.left;
        }
        walk.run += more;
        walk.counted += more;
        walk.left -= more;
        step += more * size;
    }
    walk.array += step;
    0
}

/// Starts a run of `n` references at a page of another folio.
#[inline(never)]
fn visit(walk: &mut Walk, page: u64, n: u64) -> u64 {
    book(walk);
    walk.head = 0;
    walk.end = 0;
    walk.run = 0;
    if page == layout!(zero_page) {
        return 0;
    }
    walk.counted += n;
    let Some(folio) = Folio::of(page) else {
        counters::lose(Lost::UNREADABLE, n);
        return 0;
    };
    walk.head = folio.address;
    walk.end = folio.address + u64::from(folio.pages) * u64::from(layout!(page_size));
    walk.run = n;
    0
}

/// Enters the current run in the ledger.
#[inline(never)]
fn book(walk: &Walk) -> u64 {
    if walk.run == 0 {
        return 0;
    }
    let Some(folio) = Folio::of(walk.head) else {
        counters::lose(Lost::UNREADABLE, walk.run);
        return 0;
    };
    let anon = folio.is_anon();
    let n = walk.run as u32;
    if walk.act == Act::Pin as u64 {
        ledger::pin(&folio, Kind::Pin, n);
    } else if walk.act == Act::Unpin as u64 {
        // Nothing writes an anonymous folio back through mkclean: once its last
        // pin is gone there is nothing to remember.
        let unknown = ledger::release(folio.address, Kind::Pin, n, u32::from(anon));
        if unknown > 0 {
            counters::lose(Lost::UNKNOWN_RELEASE, u64::from(unknown));
        }
    } else if anon {
        // A plain reference to anonymous memory means nothing to writeback, and
        // most of them are given back where no hook can see it.
    } else if walk.act == Act::Get as u64 {
        ledger::pin(&folio, Kind::Get, n);
    } else {
        // A bio also drops references that no GUP took (splice, loop), so what
        // the book does not hold is no loss here.
        ledger::release(folio.address, Kind::Get, n, 0);
    }
    0
}
