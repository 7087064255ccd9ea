//! Small folios, the usual case, which need no walk: their one page is their head.

#[cfg(not(feature = "baseline"))]
use core::mem::offset_of;

use ledger::References;
use probe_abi::ABSENT;
#[cfg(not(feature = "baseline"))]
use probe_abi::CpuCounters;

#[cfg(not(feature = "baseline"))]
use crate::{
    book::counters,
    kernel::{folio::MAPPING_ANON, read::read_word},
};
use crate::{
    book::entries,
    kernel::{
        layout::{at, layout},
        typed::Typed,
    },
};

/// A small folio of a file or of anonymous memory, as it is in memory now.
pub(crate) struct Small {
    page: Typed,
    pub(crate) head: u64,
    pub(crate) mapping: u64,
}

impl Small {
    /// From the typed page alone; `None` for all that takes a longer look.
    #[inline(always)]
    pub(crate) fn of(page: Typed) -> Option<Self> {
        let is_tail = page.follow(at!(compound)).address() & 1 == 1;
        Self::of_head(page).filter(|_| !is_tail)
    }

    /// The same of a page that is no tail.
    #[inline(always)]
    pub(crate) fn of_head(page: Typed) -> Option<Self> {
        let is_large = page.read::<u64, _>(at!(flags)) >> (layout!(pg_head) & 63) & 1 == 1;
        let mapping = page.follow(at!(mapping)).address();
        // The zero page, which has none, does not count.
        (!is_large && mapping != 0).then(|| Self {
            page,
            head: page.address(),
            mapping,
        })
    }

    #[inline(always)]
    pub(crate) fn memcg(&self) -> u64 {
        if layout!(memcg) == ABSENT {
            return 0;
        }
        self.page.read(at!(memcg))
    }

    #[inline(always)]
    pub(crate) fn is_under_writeback(&self) -> bool {
        let bit = layout!(pg_writeback);
        bit < 64 && self.page.read::<u64, _>(at!(flags)) >> bit & 1 == 1
    }

    /// Releases what is in the slot that it prefers, of `n` pins of it; how many.
    #[inline(always)]
    pub(crate) fn unpin(&self, n: u64) -> u64 {
        entries::release_at_preferred(&References::on(self.head, 0, n, self.mapping))
    }
}

/// Books a pin of the only page of an array, if that is of a small folio and there is
/// room where it is looked for first. Otherwise nothing is done.
#[cfg(not(feature = "baseline"))]
#[inline(always)]
pub(crate) fn pinned_one(array: u64, owner: u32) -> bool {
    let folio = read_word(array)
        .and_then(Typed::page_at)
        .and_then(Small::of);
    let Some(folio) = folio else {
        return false;
    };
    let writeback = folio.mapping & MAPPING_ANON == 0 && folio.is_under_writeback();
    let pin = References {
        owner,
        memcg: folio.memcg(),
        ..References::on(folio.head, 0, 1, folio.mapping)
    };
    let taken = entries::acquire_at_preferred(&pin, folio.head);
    if taken && writeback {
        counters::rarely(1, offset_of!(CpuCounters, gups_in_writeback));
    }
    taken
}

/// Without typed pages there is no short way; and the stack has no room for one.
#[cfg(feature = "baseline")]
#[inline(always)]
pub(crate) fn pinned_one(_array: u64, _owner: u32) -> bool {
    false
}
