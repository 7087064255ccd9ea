//! From the bytes of a `struct page` to the pins on its folio, by the kernel's own rules. Pure: where the
//! bytes come from is the caller's.

use super::layout::Layout;

/// `GUP_PIN_COUNTING_BIAS`: what a pin adds to the reference count of a folio without a count of pins.
const BIAS: i64 = 1024;

/// `PAGE_MAPCOUNT_RESERVE`: a mapcount below it is the type of a page that is no user's, or of a hugetlb folio.
const TYPED_BELOW: i32 = -128;

/// Larger than any folio: what says so was read while it changed.
const IMPOSSIBLE_ORDER: u8 = 24;

/// So many references that nothing explains come and go everywhere, and say nothing.
const USUAL: i64 = 32;

/// What a page is the first of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// How many pages it has.
    pub pages: u64,
    /// How many pins are on it.
    pub pins: u64,
    /// References that are no whole number of pins, nor explained by anything else; negative if there
    /// are fewer than there should be. A few are none.
    pub stray: i64,
}

impl Seen {
    /// Pages that hold no pin.
    const fn free(pages: u64) -> Self {
        Self {
            pages,
            pins: 0,
            stray: 0,
        }
    }
}

/// What the page of frame `pfn` is, which `bytes` begin with. A tail, a hole and the kernel's own memory,
/// which nobody can pin, are a page without pins.
#[must_use]
pub fn look(layout: &Layout, pfn: u64, bytes: &[u8]) -> Seen {
    let page = Page { layout, bytes };
    let seen = page.seen().unwrap_or(Seen::free(1));
    // Whatever has more pages than one lies at a multiple of them. A tail of a huge page without tails of
    // its own does not, which shows what its head has; nor does what was read while it changed.
    if pfn.is_multiple_of(seen.pages) {
        seen
    } else {
        Seen::free(1)
    }
}

struct Page<'a> {
    layout: &'a Layout,
    bytes: &'a [u8],
}

impl Page<'_> {
    fn seen(&self) -> Option<Seen> {
        let layout = self.layout;
        let flags = self.word(layout.flags)?;
        // All ones is `PAGE_POISON_PATTERN`, of memory that is not there.
        if flags == u64::MAX || self.word(layout.tail)? & 1 != 0 {
            return None;
        }
        let mapcount = self.int(layout.mapcount)?;
        if layout.free == Some(mapcount) {
            let order = u8::try_from(self.word(layout.private)?).ok()?;
            return Some(Seen::free(pages_of(order)?));
        }
        let is_large = flags & layout.bits.head != 0;
        let is_hugetlb = is_large && layout.hugetlb == Some(mapcount >> 24);
        if self.int(layout.refcount)? <= 0
            || flags & layout.bits.slab != 0
            || mapcount < TYPED_BELOW && !is_hugetlb
        {
            return None;
        }
        if !is_large {
            return self.by_references(flags, 1);
        }
        let order = self.byte(layout.order)?;
        let pages = pages_of(order)?;
        if order < layout.counted_from_order {
            return self.by_references(flags, pages);
        }
        Some(Seen {
            pages,
            pins: u64::try_from(self.int(layout.pincount)?).ok()?,
            stray: 0,
        })
    }

    /// A folio whose pins are in its reference count, with the references that mappings, the page cache,
    /// private data and the swap cache explain.
    ///
    /// What no user ever had is left out: the network's own pages have references by the ten thousand.
    /// Reserved pages are not: the page of zeros is one, and older kernels pin it.
    fn by_references(&self, flags: u64, pages: u64) -> Option<Seen> {
        let Layout { bits, .. } = self.layout;
        let mapped = i64::from(self.int(self.layout.mapcount)?) + 1;
        let mapping = self.word(self.layout.mapping)?;
        let is_of_a_file = mapping != 0 && mapping & 3 == 0;
        let is_swapped = flags & bits.swapcache != 0 && flags & bits.swapbacked != 0;
        let is_private = is_of_a_file && flags & bits.private != 0;
        let explained = mapped
            + i64::from(is_of_a_file || is_swapped) * pages.cast_signed()
            + i64::from(is_private);
        let excess = i64::from(self.int(self.layout.refcount)?) - explained;
        let is_a_users = mapped > 0 || mapping != 0 || flags & bits.of_users != 0;
        let pins = if is_a_users {
            (excess + USUAL).div_euclid(BIAS).max(0)
        } else {
            0
        };
        let stray = excess - pins * BIAS;
        Some(Seen {
            pages,
            pins: pins.cast_unsigned(),
            stray: if stray.abs() > USUAL { stray } else { 0 },
        })
    }

    fn word(&self, at: usize) -> Option<u64> {
        let bytes = self.bytes.get(at..at + 8)?;
        Some(u64::from_ne_bytes(bytes.try_into().ok()?))
    }

    fn int(&self, at: usize) -> Option<i32> {
        let bytes = self.bytes.get(at..at + 4)?;
        Some(i32::from_ne_bytes(bytes.try_into().ok()?))
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }
}

fn pages_of(order: u8) -> Option<u64> {
    (order < IMPOSSIBLE_ORDER).then(|| 1 << order)
}

#[cfg(test)]
mod tests;
