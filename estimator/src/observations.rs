//! What one captured walk of `folio_mkclean()` knows.
//!
//! Plain values; how they were captured is left out. *Entry* and *exit* are those of `folio_mkclean()` (on old
//! kernels `page_mkclean()`). Counts are those of the whole folio.

use crate::{Missing, Seen};

/// The exact count of pins that a folio keeps, or that it keeps none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pincount {
    /// A small folio (up to 5.17 or so also one of two pages): pins are a bias on the reference count.
    Absent,
    /// A large folio's `_pincount`.
    Exact(i32),
}

/// One walk of one folio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Observations {
    /// Mapcount at entry. With [`Self::pins_entry`] the first read of `two_walk`, and the only one of `ordered`.
    pub mapcount_entry: Seen<u32>,
    /// Shadow pins (GUPs not yet put) at entry.
    pub pins_entry: Seen<u32>,
    /// Whether a GUP took the folio since its last sample, before this entry. Sets every flag.
    pub guped_since: Seen<bool>,
    /// GUPs of the folio that completed between entry and exit. They set every flag, after it was taken.
    pub gups_in_walk: Seen<u32>,
    /// The first walk: true returns of `page_vma_mapped_walk()` on the same task between entry and exit.
    pub found: Seen<u32>,
    /// Mapcount decrements of this folio inside a zap, from entry to the end of the walk: nobody saw whether the walk
    /// had passed their entries.
    pub zaps_in_walk: Seen<u32>,
    /// Mapcount decrements of this folio inside a zap, from the end of the walk to exit: entries that the walk found
    /// and that left a marker for a second walk.
    pub zaps_after_walk: Seen<u32>,
    /// Mapcount at exit. With [`Self::pins_exit`] the second read of `two_walk`, and the only one of `simple`.
    pub mapcount_exit: Seen<u32>,
    /// Shadow pins at exit; what `ledger` answers from.
    pub pins_exit: Seen<u32>,
    /// Raw reference count at exit.
    pub refcount: Seen<i32>,
    /// `_pincount` at exit, on folios that keep one.
    pub pincount: Seen<Pincount>,
    /// Pages in the folio: the references that the page cache holds.
    pub nr_pages: Seen<u32>,
    /// References for the filesystem's private data: 0 or 1.
    pub private_refs: Seen<u32>,
    /// References that the caller of the walk holds itself: writeback holds 1.
    pub caller_refs: Seen<u32>,
    /// An event that could have changed the pins of this folio was lost since its last sample.
    pub lost: bool,
}

impl Observations {
    /// A sample of which nothing was captured: the value to start from.
    pub const NOTHING: Self = Self {
        mapcount_entry: Err(Missing::NotCaptured),
        pins_entry: Err(Missing::NotCaptured),
        guped_since: Err(Missing::NotCaptured),
        gups_in_walk: Err(Missing::NotCaptured),
        found: Err(Missing::NotCaptured),
        zaps_in_walk: Err(Missing::NotCaptured),
        zaps_after_walk: Err(Missing::NotCaptured),
        mapcount_exit: Err(Missing::NotCaptured),
        pins_exit: Err(Missing::NotCaptured),
        refcount: Err(Missing::NotCaptured),
        pincount: Err(Missing::NotCaptured),
        nr_pages: Err(Missing::NotCaptured),
        private_refs: Err(Missing::NotCaptured),
        caller_refs: Err(Missing::NotCaptured),
        lost: false,
    };

    /// The combined count at entry.
    #[inline]
    pub fn count_entry(&self) -> Seen<u32> {
        Ok(self
            .mapcount_entry?
            .saturating_add(self.certain(self.pins_entry)?))
    }

    /// The combined count at exit.
    #[inline]
    pub fn count_exit(&self) -> Seen<u32> {
        Ok(self.mapcount_exit?.saturating_add(self.pins()?))
    }

    /// The pins in the ledger at exit.
    #[inline]
    pub fn pins(&self) -> Seen<u32> {
        self.certain(self.pins_exit)
    }

    /// Whether a GUP took the folio before the entry. One that was seen is certain, whatever was lost.
    #[inline]
    pub fn gup_before(&self) -> Seen<bool> {
        match self.guped_since {
            Ok(false) => self.certain(Ok(false)),
            seen => seen,
        }
    }

    /// Whether a GUP took the folio during the walk. One that was seen is certain, whatever was lost.
    #[inline]
    pub fn gup_in_walk(&self) -> Seen<bool> {
        match self.gups_in_walk? {
            0 => self.certain(Ok(false)),
            _ => Ok(true),
        }
    }

    /// The references that mappings, page cache, private data and the caller explain, at exit.
    #[inline]
    pub fn explained(&self) -> Seen<u32> {
        Ok(self
            .mapcount_exit?
            .saturating_add(self.nr_pages?)
            .saturating_add(self.private_refs?)
            .saturating_add(self.caller_refs?))
    }

    /// The fewest and the most entries that the walk found and a zap took before the second walk.
    #[inline]
    pub fn markers(&self) -> Seen<(u32, u32)> {
        let least = self.zaps_after_walk?;
        Ok((least, least.saturating_add(self.zaps_in_walk?)))
    }

    #[inline]
    fn certain<T>(&self, seen: Seen<T>) -> Seen<T> {
        if self.lost { Err(Missing::Lost) } else { seen }
    }
}

impl Default for Observations {
    fn default() -> Self {
        Self::NOTHING
    }
}
