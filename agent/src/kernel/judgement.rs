//! How many pins a folio has, by the kernel's own counts of it: what the ledger is held against,
//! and what the census adds up. A large folio has a count of its own; of a small one it is what
//! the reference count has beyond all that explains references.

use probe_abi::{ABSENT, Folio, Layout};

/// `GUP_PIN_COUNTING_BIAS`, Linux 5.6: one pin of a small folio in its reference count.
pub(crate) const BIAS: i64 = 1024;

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

/// What the kernel has of a folio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) pins: u64,
    /// References that neither pins nor anything else explain; `None` where that is not known.
    pub(crate) room: Option<u64>,
}

/// `None` where it cannot be told. `known` are references that are sure to be no part of a pin.
pub(crate) fn held(folio: &Folio, known: u64, bits: FlagBits) -> Option<Held> {
    let explained = explained(folio, bits);
    match folio.state {
        Folio::LARGE => {
            let left = explained.map(|it| i64::from(folio.refcount) - it);
            let room = left.map(|it| (it - i64::from(folio.pincount)).max(0).cast_unsigned());
            Some(Held {
                pins: u64::from(folio.pincount),
                room,
            })
        }
        Folio::SMALL => {
            let left = i64::from(folio.refcount) - explained?;
            let known = i64::try_from(known).unwrap_or(i64::MAX).min(left.max(0));
            let pins = ((left - known + BIAS / 2) / BIAS).max(0);
            Some(Held {
                pins: pins.cast_unsigned(),
                room: Some((left - pins * BIAS).max(0).cast_unsigned()),
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
        held(&folio, 0, BITS)?.room
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
