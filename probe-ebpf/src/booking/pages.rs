//! Walking a set of pages folio by folio, and entering each run in the ledger.
//!
//! Neighbouring pages of one folio cost one comparison each: the folio is
//! looked up once, and its references are counted up before they are booked.

use core::mem::offset_of;

use ledger::References;
use probe_abi::{CpuCounters, Lost, Word, folio_key};

use crate::{
    book::{counters, entries, settings::zero_page},
    booking::small::Small,
    kernel::{
        folio::{Folio, MAPPING_ANON},
        layout::layout,
        read::{read_kernel, read_word},
        typed::Typed,
    },
    verifier::{
        repeat::{repeat, step_by, steps},
        scratch::{Handle, Kept, give_back, kept, lend, lent},
        unknown::{opaque, unknown_zero},
    },
};

/// Page pointers fetched at once inside a large folio.
const CHUNK: usize = 16;
/// Bytes of a page pointer.
const POINTER: u64 = 8;

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

impl Act {
    #[inline(always)]
    const fn takes(self) -> bool {
        matches!(self, Self::Pin | Self::Get)
    }
}

/// A walk under way. Plain words: it lives on the stack of the program that
/// started it, and the functions below reach it through a pointer.
#[repr(C)]
struct Walk {
    /// Next page pointer to fetch, or next page. Addresses, and no count of
    /// what is left: a count that the verifier can follow down would make it
    /// walk the loop as often as the kernel may.
    at: u64,
    /// Where to stop.
    stop: u64,
    /// [`Act`], as a number.
    act: u16,
    /// Whether the folio is under writeback, and its order; with what is said below.
    writeback: u8,
    order: u8,
    /// In whose name references are taken.
    owner: u32,
    /// Head of the folio of the current run, or [`NO_FOLIO`].
    head: u64,
    /// `folio->mapping` and the memory cgroup's word, as read when the run began.
    mapping: u64,
    memcg: u64,
    /// References in the current run.
    run: u64,
    /// Pages that count: all but the zero page.
    counted: u64,
}

kept!(Walk, WALK_CELLS);

/// The head of no folio: no page lies there, addresses of the kernel begin above it.
const NO_FOLIO: u64 = 1 << 63;

/// Walks an array of `n` page (or folio) pointers; returns how many count.
#[inline(always)]
pub(crate) fn walk_array(array: u64, n: u64, act: Act, owner: u32) -> u64 {
    let mut walk = Walk::new(array, array + n * POINTER, act, owner);
    let Some(walk) = lend(&mut walk) else {
        return unwalked(n);
    };
    match (act.takes(), n) {
        (true, 1) => _ = take_from_array(walk.handle()),
        (true, _) => repeat(steps(n), next_taken_of_array, walk.raw()),
        (false, 1) => _ = give_from_array(walk.handle()),
        (false, _) => repeat(steps(n), next_given_of_array, walk.raw()),
    }
    let counted = walk.finish(POINTER, act.takes());
    give_back(walk);
    counted
}

/// Gives back one reference on each of `n` pages that lie side by side.
#[inline(always)]
pub(crate) fn walk_range(first: u64, n: u64, act: Act) -> u64 {
    let size = u64::from(layout!(page_size));
    let mut walk = Walk::new(first, first + n * size, act, 0);
    let Some(walk) = lend(&mut walk) else {
        return unwalked(n);
    };
    if n == 1 {
        give_from_range(walk.handle());
    } else {
        repeat(steps(n), next_given_of_range, walk.raw());
    }
    let counted = walk.finish(size, false);
    give_back(walk);
    counted
}

/// `n` references on the folio of one page; returns how many count.
#[inline(always)]
pub(crate) fn one(page: u64, n: u64, act: Act, owner: u32) -> u64 {
    let takes = act.takes();
    let mut walk = Walk::new(0, 0, act, owner);
    let Some(walk) = lend(&mut walk) else {
        return unwalked(n);
    };
    start_run(walk, page, n, takes);
    let counted = walk.finish(POINTER, takes);
    give_back(walk);
    counted
}

/// There was no room to walk.
#[inline(always)]
fn unwalked(n: u64) -> u64 {
    counters::lose(Lost::CONTENDED, n);
    n
}

/// Whether the only page of an array is of no file: plain references on such are
/// counted, and no more than that.
#[inline(always)]
pub(crate) fn is_one_anonymous(array: u64) -> bool {
    read_word(array).is_some_and(|page| is_anonymous(page) == 1)
}

/// Gives one plain reference back; returns how many count.
#[inline(always)]
pub(crate) fn put_one(page: u64) -> u64 {
    if is_anonymous(page) == 1 {
        return 1;
    }
    one(page, 1, Act::Put, 0)
}

// Leaves of the call tree have their own frames, which end before the ledger
// begins: all frames of a chain of calls together have 512 bytes.

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn is_anonymous(page: u64) -> u64 {
    // The zero page is not, it has no mapping.
    if let Some(folio) = Typed::page_at(page).and_then(Small::of) {
        return u64::from(folio.mapping & MAPPING_ANON != 0);
    }
    u64::from(Folio::of(page).is_some_and(|it| it.is_anon()))
}

/// Begins a run of `n` references at the folio of a page.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn begin_run(walk: Handle<Walk>, page: u64, n: u64) -> u64 {
    let Some(walk) = lent::<Walk>(walk) else {
        return 0;
    };
    if let Some(folio) = Typed::page_at(page).and_then(Small::of) {
        walk.head = folio.head;
        walk.mapping = folio.mapping;
        walk.memcg = folio.memcg();
        walk.writeback = u8::from(folio.is_under_writeback());
        walk.order = 0;
        walk.run = n;
        return 0;
    }
    let Some(folio) = Folio::of(page) else {
        counters::lose(Lost::UNREADABLE, n);
        return 0;
    };
    walk.head = folio.address;
    walk.mapping = folio.head.mapping();
    walk.memcg = folio.head.memcg();
    walk.writeback = u8::from(folio.head.flag(layout!(pg_writeback)));
    walk.order = order_of(folio.pages) as u8;
    walk.run = n;
    0
}

/// The order of a folio of so many pages.
///
/// By halves: the kernel's machine has no instruction that counts zeros.
#[inline(always)]
fn order_of(pages: u32) -> u32 {
    let (mut rest, mut order) = (pages, 0);
    let mut width = 16;
    while width > 0 {
        if rest >> width != 0 {
            // Opaque, or the compiler works out both outcomes of each before the first.
            rest = opaque(u64::from(rest >> width)) as u32;
            order += width;
        }
        width /= 2;
    }
    order
}

/// Passes over the pointers ahead that are inside the folio of the current run,
/// a chunk of them at most; how many.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn stay_inside(walk: Handle<Walk>) -> u64 {
    let Some(walk) = lent::<Walk>(walk) else {
        return 0;
    };
    let Some(pages) = read_kernel::<[u64; CHUNK]>(walk.at) else {
        return 0;
    };
    let mut inside = 0;
    for page in pages {
        if !walk.has(page) {
            break;
        }
        inside += 1;
    }
    walk.run += inside;
    walk.counted += inside;
    walk.at += inside * POINTER;
    inside
}

impl Walk {
    #[inline(always)]
    fn new(at: u64, stop: u64, act: Act, owner: u32) -> Self {
        let zero = unknown_zero();
        Self {
            at,
            stop,
            act: act as u16,
            writeback: 0,
            order: 0,
            owner,
            head: NO_FOLIO + zero,
            mapping: zero,
            memcg: zero,
            run: zero,
            counted: zero,
        }
    }

    /// Bytes of the `struct page`s of the current folio.
    #[inline(always)]
    fn bytes(&self) -> u64 {
        u64::from(layout!(page_size)) << (self.order & 31)
    }

    /// Whether a page is of the current folio.
    #[inline(always)]
    fn has(&self, page: u64) -> bool {
        page.wrapping_sub(self.head) < self.bytes()
    }

    /// Of which kind its references are: 0 or [`Word::GET`].
    #[inline(always)]
    fn kind(&self) -> u64 {
        if self.act == Act::Pin as u16 || self.act == Act::Unpin as u16 {
            0
        } else {
            Word::GET
        }
    }

    /// A plain reference to anonymous memory means nothing to writeback, and most of
    /// them are given back where no hook can see it.
    #[inline(always)]
    fn is_of_no_meaning(&self) -> bool {
        self.mapping & MAPPING_ANON != 0 && self.kind() == Word::GET
    }

    /// Books the last run; returns how many pages count. What was not reached
    /// counts as well: `stride` bytes each.
    #[inline(always)]
    fn finish(&mut self, stride: u64, takes: bool) -> u64 {
        if self.at < self.stop {
            let left = (self.stop - self.at).checked_div(stride).unwrap_or(0);
            counters::lose(Lost::TRUNCATED, left);
            self.counted += left;
        }
        self.book(takes);
        self.counted
    }

    /// Enters the current run of references in the ledger.
    #[inline(always)]
    fn book(&mut self, takes: bool) {
        if takes {
            book_taken(self.handle());
        } else {
            book_given(self.handle());
        }
    }
}

step_by!(next_taken_of_array, take_from_array);
step_by!(next_given_of_array, give_from_array);
step_by!(next_given_of_range, give_from_range);

// Whether references are taken or given back, each program does the one or the
// other only, and the verifier need not look at both.

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn take_from_array(walk: Handle<Walk>) -> i64 {
    visit_array(walk, true)
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn give_from_array(walk: Handle<Walk>) -> i64 {
    visit_array(walk, false)
}

/// Visits the next pointers of an array: all those inside the current folio, or
/// the first of another one. 1 at the end.
#[inline(always)]
fn visit_array(walk: Handle<Walk>, takes: bool) -> i64 {
    let Some(walk) = lent::<Walk>(walk) else {
        return 1;
    };
    if walk.at >= walk.stop {
        return 1;
    }
    // A small folio is followed by another one: fetch no more than its pointer.
    if walk.order > 0
        && walk.stop - walk.at >= CHUNK as u64 * POINTER
        && stay_inside(walk.handle()) > 0
    {
        return 0;
    }
    let Some(page) = read_word(walk.at) else {
        return unreadable(walk, 1);
    };
    walk.at += POINTER;
    if walk.has(page) {
        walk.run += 1;
        walk.counted += 1;
    } else {
        start_run(walk, page, 1, takes);
    }
    0
}

/// Visits the next folio of a range of pages. 1 at the end.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn give_from_range(walk: Handle<Walk>) -> i64 {
    let Some(walk) = lent::<Walk>(walk) else {
        return 1;
    };
    if walk.at >= walk.stop {
        return 1;
    }
    let first = walk.at;
    let size = u64::from(layout!(page_size));
    start_run(walk, first, 1, false);
    walk.at = first + size;
    // The rest of this folio, without looking at its pages.
    let end = (walk.head + walk.bytes()).min(walk.stop);
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
fn start_run(walk: &mut Walk, page: u64, n: u64, takes: bool) {
    if walk.run > 0 {
        walk.book(takes);
    }
    walk.head = NO_FOLIO + unknown_zero();
    walk.order = 0;
    walk.run = unknown_zero();
    if folio_key(page) == zero_page() {
        return;
    }
    walk.counted += n;
    begin_run(walk.handle(), page, n);
}

// Functions that the verifier checks once, by themselves, and not again for each
// program and each path that leads to them.

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn book_taken(walk: Handle<Walk>) -> u64 {
    let Some(walk) = lent::<Walk>(walk) else {
        return 0;
    };
    if walk.run == 0 {
        return 0;
    }
    if walk.mapping & MAPPING_ANON == 0 && walk.writeback == 1 {
        // The race that the mail has a GUP wait for.
        counters::add(1, offset_of!(CpuCounters, gups_in_writeback));
    }
    if walk.is_of_no_meaning() {
        return 0;
    }
    let taken = References {
        owner: walk.owner,
        memcg: walk.memcg,
        order: u32::from(walk.order),
        ..References::on(walk.head, walk.kind(), walk.run, walk.mapping)
    };
    entries::acquire(taken, walk.head);
    0
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn book_given(walk: Handle<Walk>) -> u64 {
    let Some(walk) = lent::<Walk>(walk) else {
        return 0;
    };
    if walk.run == 0 || walk.is_of_no_meaning() {
        return 0;
    }
    let kind = walk.kind();
    let unmatched = entries::release(References::on(walk.head, kind, walk.run, walk.mapping));
    // A bio also drops references that no GUP took (splice, loop): those that
    // the book does not hold are no loss.
    if kind != Word::GET && unmatched > 0 {
        counters::unmatched(folio_key(walk.head), unmatched);
    }
    0
}
