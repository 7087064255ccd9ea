//! How many pins a folio has, by the kernel's own counts of it: what the ledger is held against,
//! and what the census adds up. A large folio has a count of its own; of a small one it is what
//! the reference count has beyond all that explains references.

use probe_abi::{ABSENT, Folio, Layout};

/// `GUP_PIN_COUNTING_BIAS`, Linux 5.6: one pin of a small folio in its reference count.
pub(crate) const BIAS: i64 = 1024;

/// Of what explains references so many may be counted that were not there yet.
const FEW: i64 = 32;

/// Bits of `page.flags` that explain references of a folio; what this kernel has not is 64 or
/// more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FlagBits {
    /// `PG_private`.
    pub(crate) private: u32,
    /// `PG_swapcache`, which means that of anonymous and shared memory only.
    pub(crate) swap_cache: u32,
}

impl FlagBits {
    /// As the probes have them.
    pub(crate) const fn of(layout: &Layout) -> Self {
        const fn bit(it: u32) -> u32 {
            if it == ABSENT { u32::MAX } else { it }
        }
        Self {
            private: bit(layout.pg_private),
            swap_cache: bit(layout.pg_swapcache),
        }
    }
}

/// What the kernel has of a folio. Of a large one all three are the same. In the reference count of a small
/// one a pin is as much as 1,024 plain references, of which nobody knows how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// There are no more pins. Rounded up: of what explains references, more may have been counted.
    pub(crate) at_most: u64,
    /// So many fit, were there no plain reference (but for a few).
    pub(crate) fit: u64,
    /// So many there are if the plain references are there that the ledger knows, and few others.
    pub(crate) likely: u64,
    /// References that nothing but pins explains, and how many a pin is; `None` where that is not known.
    left: Option<(i64, i64)>,
}

impl Held {
    /// Nothing at all.
    pub(crate) const NOTHING: Self = Self {
        at_most: 0,
        fit: 0,
        likely: 0,
        left: Some((0, 1)),
    };

    /// Pins that it has and a ledger with `pins` has not, as far as that can be known.
    pub(crate) fn beyond(self, pins: u64) -> u64 {
        self.fit.min(self.likely).saturating_sub(pins)
    }

    /// References that `pins` leave to others; `None` where that is not known.
    pub(crate) fn room(self, pins: u64) -> Option<u64> {
        let (left, each) = self.left?;
        let taken = pins.cast_signed().saturating_mul(each);
        Some(left.saturating_sub(taken).max(0).cast_unsigned())
    }
}

/// `None` where it cannot be told. `known` are plain references: those that the ledger has, whose release
/// it may not have seen.
pub(crate) fn held(folio: &Folio, known: u64, bits: FlagBits) -> Option<Held> {
    let left = explained(folio, bits).map(|it| i64::from(folio.refcount) - it);
    match folio.state {
        Folio::LARGE => {
            let pins = u64::from(folio.pincount);
            Some(Held {
                at_most: pins,
                fit: pins,
                likely: pins,
                left: left.map(|it| (it, 1)),
            })
        }
        Folio::SMALL => {
            let left = left?;
            let known = i64::try_from(known).unwrap_or(i64::MAX).min(left.max(0));
            let rounded = |it: i64| ((it + BIAS / 2) / BIAS).max(0).cast_unsigned();
            Some(Held {
                at_most: rounded(left),
                fit: ((left + FEW) / BIAS).max(0).cast_unsigned(),
                likely: rounded(left - known),
                left: Some((left, BIAS)),
            })
        }
        _ => None,
    }
}

/// Whether it is memory of a process or of a file. What is neither may be a driver's or the
/// network's, which take references by the thousand (`page_frag_alloc_align()`).
pub(crate) fn is_of_something(folio: &Folio) -> bool {
    folio.mapping != 0 || folio.mapcount != 0
}

/// References that mappings and caches explain, as `folio_expected_ref_count()` has them; `None`
/// where mappings are not known. Shared memory that is in the swap cache is in no file any more
/// (the kernel's own sum left it out until December 2025, Linux 6.19).
fn explained(folio: &Folio, bits: FlagBits) -> Option<i64> {
    const ANONYMOUS: u64 = 1;
    const TAGS: u64 = 3;
    let has = |bit: u32| bit < 64 && folio.flags >> bit & 1 == 1;
    if folio.mapcount == u32::MAX {
        return None;
    }
    let is_of_a_file = folio.mapping & TAGS == 0 && folio.mapping != 0;
    let can_be_swapped = folio.mapping == 0 || folio.mapping & ANONYMOUS != 0;
    let cached = is_of_a_file || can_be_swapped && has(bits.swap_cache);
    let pages = i64::from(folio.pages.max(1));
    Some(
        i64::from(folio.mapcount)
            + if cached { pages } else { 0 }
            + i64::from(has(bits.private) && folio.mapping & TAGS == 0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const BITS: FlagBits = FlagBits {
        private: 13,
        swap_cache: 10,
    };

    /// References that are left of 1,200, of which a pin is 1,024 on a small folio.
    fn room(mapping: u64, flags: u64, pages: u32) -> Option<u64> {
        let folio = Folio {
            key: 1,
            flags,
            mapping,
            refcount: 1200,
            mapcount: 2,
            pincount: 0,
            pages,
            state: if pages > 1 {
                Folio::LARGE
            } else {
                Folio::SMALL
            },
            reserved: 0,
        };
        let held = held(&folio, 0, BITS)?;
        held.room(held.fit)
    }

    #[test]
    fn the_swap_cache_explains_a_reference_a_page_of_anonymous_and_of_shared_memory() {
        const SWAPPED: u64 = 1 << 10;
        const FILE: u64 = 0x1000;
        for (mapping, flags, explained) in [
            (0x1001, 0, 0),
            (0x1001, SWAPPED, 1),
            // Of shared memory.
            (0, SWAPPED, 1),
            (0, 0, 0),
            // Of a file the bit means something else.
            (FILE, SWAPPED, 1),
            (FILE, 0, 1),
        ] {
            let what = format!("{mapping:#x} {flags:#x}");
            let large = Some(1200 - 2 - 16 * explained);
            assert_eq!(room(mapping, flags, 16), large, "{what}");
            let small = Some(1200 - 2 - explained - BIAS as u64);
            assert_eq!(room(mapping, flags, 1), small, "{what}");
        }
    }
}
