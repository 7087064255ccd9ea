//! A walk over pages, and its current run: references on one folio, which are counted up
//! before they are booked. Leaves out from where pages come, which is `pages`.

use core::mem::offset_of;

use ledger::References;
use probe_abi::{CpuCounters, Lost, Word, folio_key};

use crate::{
    book::{counters, entries, settings::zero_page},
    booking::small::Small,
    kernel::{
        folio::{Folio, MAPPING_ANON},
        layout::layout,
        typed::Typed,
    },
    verifier::{
        scratch::{Handle, Kept, kept, lent},
        unknown::{opaque, unknown_zero},
    },
};

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
    pub(super) const fn takes(self) -> bool {
        matches!(self, Self::Pin | Self::Get)
    }
}

/// A walk under way. Plain words: it lives on the stack of the program that
/// started it, and the functions below reach it through a pointer.
#[repr(C)]
pub(super) struct Walk {
    /// Next page pointer to fetch, or next page. Addresses, and no count of
    /// what is left: a count that the verifier can follow down would make it
    /// walk the loop as often as the kernel may.
    pub(super) at: u64,
    /// Where to stop.
    pub(super) stop: u64,
    /// [`Act`], as a number.
    act: u16,
    /// Whether the folio is under writeback, and its order; with what is said below.
    writeback: u8,
    pub(super) order: u8,
    /// In whose name references are taken.
    owner: u32,
    /// Head of the folio of the current run, or [`NO_FOLIO`].
    pub(super) head: u64,
    /// `folio->mapping` and the memory cgroup's word, as read when the run began.
    mapping: u64,
    memcg: u64,
    /// References in the current run.
    pub(super) run: u64,
    /// Pages that count: all but the zero page.
    pub(super) counted: u64,
}

kept!(Walk, WALK_CELLS);

/// The head of no folio: no page lies there, addresses of the kernel begin above it.
const NO_FOLIO: u64 = 1 << 63;

impl Walk {
    #[inline(always)]
    pub(super) fn new(at: u64, stop: u64, act: Act, owner: u32) -> Self {
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
    pub(super) fn bytes(&self) -> u64 {
        u64::from(layout!(page_size)) << (self.order & 31)
    }

    /// Whether a page is of the current folio.
    #[inline(always)]
    pub(super) fn has(&self, page: u64) -> bool {
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
    /// them are released where no hook can see it.
    #[inline(always)]
    fn is_of_no_meaning(&self) -> bool {
        self.mapping & MAPPING_ANON != 0 && self.kind() == Word::GET
    }

    /// Books the last run; returns how many pages count. What was not reached
    /// counts as well: `stride` bytes each.
    #[inline(always)]
    pub(super) fn finish(&mut self, stride: u64, takes: bool) -> u64 {
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

/// Books the current run, and starts one of `n` references at a page of another
/// folio.
#[inline(always)]
pub(super) fn start_run(walk: &mut Walk, page: u64, n: u64, takes: bool) {
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

// Leaves of the call tree have their own frames, which end before the ledger
// begins: all frames of a chain of calls together have 512 bytes.

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
        counters::rarely(1, offset_of!(CpuCounters, gups_in_writeback));
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
