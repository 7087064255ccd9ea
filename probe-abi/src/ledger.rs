//! The ledger's table: buckets of slots, each slot one 64-bit word and a note.
//!
//! A word holds key and count together, so that one compare-and-swap makes a
//! pin, a release, or a release that empties the slot. Nothing is ever deleted
//! and nothing moves: a reader in user space maps the table and looks. Two CPUs
//! may open a slot for the same folio at once; the folio's count is the sum
//! over its slots, so that is harmless. A folio pinned by several owners has a
//! slot for each, so that totals by owner add up to the total by themselves.

/// Slots in a bucket: their words fill one cache line.
pub const BUCKET_SLOTS: usize = 8;

/// Which reference a slot counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `FOLL_PIN`: `pin_user_pages*()` and what else raises the kernel's pin count.
    Pin,
    /// `FOLL_GET`: a plain reference from `get_user_pages*()`.
    Get,
}

/// One slot's key, kind and count.
///
/// | bits | meaning |
/// | --- | --- |
/// | 63..28 | key: the folio's `struct page` address, see [`folio_key`] |
/// | 27 | kind: 0 pin, 1 get |
/// | 26 | busy: claimed, its note not written yet |
/// | 25 | hint: a folio that prefers this place may have a slot elsewhere |
/// | 24 | doubt: somebody is finding out whether that is still so |
/// | 23..0 | count: references not yet released |
///
/// All zero but for hint and doubt is an empty slot. A key with count zero is a tombstone: of
/// a folio whose last reference is gone, and which no mkclean walk has found clean since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word(pub u64);

impl Word {
    /// Mask of the count.
    pub const COUNT: u64 = (1 << 24) - 1;
    /// Says of a place that a folio which prefers it may have a slot elsewhere. Where it
    /// is absent a release need not look any further. It belongs to the place, and
    /// outlives what is in it.
    pub const HINT: u64 = 1 << 25;
    /// Says of the hint that it may be out of date. Whoever raises the hint takes it off.
    pub const DOUBT: u64 = 1 << 24;
    /// What belongs to the place.
    pub const PLACE: u64 = Self::HINT | Self::DOUBT;
    /// The claim mark.
    pub const BUSY: u64 = 1 << 26;
    /// The kind bit.
    pub const GET: u64 = 1 << 27;
    /// Shift of the key.
    pub const KEY_SHIFT: u32 = 28;

    /// Everything but the count and what goes with it: what a word is looked for by.
    pub const IDENTITY: u64 = !(Self::COUNT | Self::PLACE);

    /// The word of a folio with no count yet.
    #[must_use]
    #[inline(always)]
    pub const fn empty(key: u64, kind: Kind) -> Self {
        let kind = match kind {
            Kind::Pin => 0,
            Kind::Get => Self::GET,
        };
        Self((key << Self::KEY_SHIFT) | kind)
    }

    /// Key part.
    #[must_use]
    #[inline(always)]
    pub const fn key(self) -> u64 {
        self.0 >> Self::KEY_SHIFT
    }

    /// References not yet released.
    #[must_use]
    #[inline(always)]
    pub const fn count(self) -> u32 {
        (self.0 & Self::COUNT) as u32
    }

    /// What it counts.
    #[must_use]
    #[inline(always)]
    pub const fn kind(self) -> Kind {
        if self.0 & Self::GET == 0 {
            Kind::Pin
        } else {
            Kind::Get
        }
    }

    /// Whether its note is still being written.
    #[must_use]
    #[inline(always)]
    pub const fn is_busy(self) -> bool {
        self.0 & Self::BUSY != 0
    }

    /// Whether the slot is free.
    #[must_use]
    #[inline(always)]
    pub const fn is_empty(self) -> bool {
        self.0 & !Self::PLACE == 0
    }

    /// Whether it only remembers a folio.
    #[must_use]
    #[inline(always)]
    pub const fn is_tombstone(self) -> bool {
        !self.is_empty() && !self.is_busy() && self.count() == 0
    }
}

/// The owner of what has no known owner; see [`SlotNote::owner`].
pub const NOBODY: u32 = 0;

/// What is remembered beside a slot's word. Written by whoever opens the slot,
/// before the word becomes visible without [`Word::BUSY`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct SlotNote {
    /// `bpf_ktime_get_boot_ns` when the count last left zero.
    pub since_ns: u64,
    /// `folio->mapping` at that time, its low tag bits included.
    pub mapping: u64,
    /// GUPs of this folio since the slot was opened, from a number that differs from one
    /// opening to the next; wraps.
    pub gups: u32,
    /// Mapcount decrements inside a zap, seen while a walk was under way; wraps.
    pub zaps: u32,
    /// Index of the [`crate::Owner`] whose references these are; [`NOBODY`]: not known.
    pub owner: u16,
    /// [`NoteFlags`].
    pub flags: u8,
    /// The folio's order at that time: its pages are two to the power of it.
    pub order: u8,
    /// When the ledger began to remember this folio, see [`opened_at`].
    pub opened: u32,
    /// `page->memcg_data` (`mem_cgroup` before 5.11) of the folio at that time,
    /// as the kernel keeps it: which memory cgroup is charged.
    pub memcg: u64,
}

/// Bits of [`SlotNote::flags`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoteFlags;

impl NoteFlags {
    /// Whose these references are is a guess: one of several owners gave some of this
    /// folio's back, and the kernel did not say which.
    pub const GUESS: u8 = 1 << 0;
}

/// A cache line of words, then their notes.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    /// The slots' words.
    pub words: [u64; BUCKET_SLOTS],
    /// The slots' notes, same index.
    pub notes: [SlotNote; BUCKET_SLOTS],
}

const _: () = assert!(size_of::<SlotNote>() == 40 && align_of::<SlotNote>() == 8);
const _: () = assert!(size_of::<Bucket>() == 384 && align_of::<Bucket>() == 64);

/// A time, `bpf_ktime_get_boot_ns`, in units of 2 to the 24th nanoseconds (17 ms), which
/// wraps after two years. Rounded down; never 0, which stands for "not known".
#[must_use]
#[inline(always)]
pub const fn opened_at(since_boot_ns: u64) -> u32 {
    (since_boot_ns >> 24) as u32 | 1
}

/// The key of a folio: bits 6 to 41 of its `struct page` address.
///
/// `struct page` is 64-byte aligned inside one virtual array (`vmemmap`), so
/// these 36 bits tell folios apart on machines whose physical address space
/// ends below 256 TiB, and need no knowledge of where the array begins.
#[must_use]
#[inline(always)]
pub const fn folio_key(page: u64) -> u64 {
    (page >> 6) & ((1 << 36) - 1)
}

/// The bits of a `struct page` address that its key leaves out; the same for all.
#[must_use]
#[inline(always)]
pub const fn page_high(page: u64) -> u64 {
    page >> 42 << 42
}

/// Two multipliers whose products have nothing to do with each other.
const MULTIPLIERS: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0xc2b2_ae3d_27d4_eb4f];

/// The upper half of the product: its highest bits mix every bit of the key.
#[inline(always)]
const fn hash(key: u64, which: usize) -> u64 {
    key.wrapping_mul(MULTIPLIERS[which]) >> 32
}

/// What a key's first place in the ledger is reckoned from.
#[must_use]
#[inline(always)]
pub const fn hash_of(key: u64) -> u64 {
    hash(key, 0)
}

/// The same of its second place: a full bucket overflows into another one.
#[must_use]
#[inline(always)]
pub const fn second_hash_of(key: u64) -> u64 {
    hash(key, 1)
}

/// How far a hash is shifted in a table of so many buckets, a power of two.
#[must_use]
#[inline(always)]
pub const fn ledger_shift(buckets: u32) -> u32 {
    32 - buckets.trailing_zeros()
}

/// The bucket of a hash.
///
/// Fibonacci hashing, which spreads neighbours evenly, as the folios of a large
/// buffer are. That is true of the highest bits only: the others put them in heaps.
#[must_use]
#[inline(always)]
pub const fn bucket_of(hash: u64, shift: u32) -> u32 {
    (hash >> shift) as u32
}

/// The slot of a folio in its first bucket, if it can have its wish: where it is
/// looked for before anywhere else. By the bits that say least of the bucket.
#[must_use]
#[inline(always)]
pub const fn preferred_slot_of(hash: u64) -> usize {
    hash as usize & (BUCKET_SLOTS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_returns_key_kind_and_count() {
        let key = folio_key(0xffff_ea00_1234_5640);
        for kind in [Kind::Pin, Kind::Get] {
            let word = Word(Word::empty(key, kind).0 + 511);
            assert_eq!((word.key(), word.kind(), word.count()), (key, kind, 511));
            assert!(!word.is_busy() && !word.is_empty());
        }
    }

    #[test]
    fn neighbouring_folios_have_different_keys() {
        let base = 0xffd4_0000_0000_0000;
        assert_ne!(folio_key(base), folio_key(base + 64));
    }

    #[test]
    fn every_hash_has_its_bucket_in_the_table() {
        for buckets in [1, 8, 1 << 23] {
            for hash in [0, 1 << 31, u64::from(u32::MAX)] {
                assert!(bucket_of(hash, ledger_shift(buckets)) < buckets);
            }
        }
    }

    /// Whether so many neighbours, one every `step` pages, all find a slot in a table
    /// of as many buckets.
    fn find_room(count: u64, step: u64, buckets: u32) {
        let mut used = std::vec![0; buckets as usize];
        for page in 0..count {
            let key = folio_key(0xffff_ea00_1234_0000 + page * step * 64);
            let shift = ledger_shift(buckets);
            let places = [hash_of(key), second_hash_of(key)].map(|hash| bucket_of(hash, shift));
            let free = places
                .into_iter()
                .find(|it| used[*it as usize] < BUCKET_SLOTS);
            let bucket = free
                .unwrap_or_else(|| panic!("no room for {page} of {count}, one every {step} pages"));
            used[bucket as usize] += 1;
        }
    }

    #[test]
    fn neighbouring_folios_find_room_until_the_table_is_three_quarters_full() {
        for step in [1, 4, 16, 512] {
            for buckets in [512, 1 << 15, 1 << 17] {
                find_room(u64::from(buckets) * 6, step, buckets);
            }
        }
    }
}
