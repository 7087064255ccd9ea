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

/// References that mappings and caches explain; `None` where mappings are not known.
fn explained(folio: &Folio, bits: FlagBits) -> Option<i64> {
    const ANONYMOUS: u64 = 1;
    const TAGS: u64 = 3;
    let has = |bit: u32| bit < 64 && folio.flags >> bit & 1 == 1;
    if folio.mapcount == u32::MAX {
        return None;
    }
    let cached = folio.mapping & TAGS == 0 && folio.mapping != 0
        || folio.mapping & ANONYMOUS != 0 && has(bits.swap_cache);
    let pages = i64::from(folio.pages.max(1));
    Some(
        i64::from(folio.mapcount)
            + if cached { pages } else { 0 }
            + i64::from(has(bits.private) && folio.mapping & TAGS == 0),
    )
}
