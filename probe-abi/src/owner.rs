//! Who takes references: one record for each process, cgroup, user and call path.
//!
//! A slot of the ledger names its owner by the index of such a record. Records
//! are made by the probes and taken away by the agent, once nothing names them.

use core::hint::black_box;

/// In the place of a function: the owner held its pins when the agent started, and a census found
/// them.
pub const PREEXISTING: u32 = u32::MAX;

/// Return addresses kept of a call path, innermost first.
pub const CALL_FRAMES: usize = 20;

/// Buckets of an owner's hold times.
pub const HOLD_BUCKETS: usize = 32;

/// Nanoseconds below which the first bucket of hold times counts: 2 to the tenth.
const FIRST_HOLD_BITS: u32 = 10;

/// State and identity of a record, in one word that is changed by compare-and-swap.
///
/// | bits | meaning |
/// | --- | --- |
/// | 63..2 | hash of everything that makes the owner this one; never zero |
/// | 1..0 | 1 being written, 2 in use, 3 about to be taken away |
///
/// All zero is a free record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnerTag(pub u64);

impl OwnerTag {
    /// State bits.
    pub const STATE: u64 = 3;
    /// Being written or taken away.
    pub const BUSY: u64 = 1;
    /// In use.
    pub const LIVE: u64 = 2;
    /// Nothing named it when the agent looked; a probe that wants it brings it
    /// back to life.
    pub const RETIRING: u64 = 3;

    /// The word of an identity in a state.
    #[must_use]
    #[inline(always)]
    pub const fn new(hash: u64, state: u64) -> Self {
        Self((hash & !Self::STATE) | state)
    }

    /// State part.
    #[must_use]
    #[inline(always)]
    pub const fn state(self) -> u64 {
        self.0 & Self::STATE
    }

    /// Whether both are of the same identity.
    #[must_use]
    #[inline(always)]
    pub const fn same_identity(self, other: Self) -> bool {
        (self.0 ^ other.0) & !Self::STATE == 0
    }
}

/// One owner. Record 0 stands for "not known" and is never written but for its
/// counters.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct Owner {
    /// [`OwnerTag`].
    pub tag: u64,
    /// `start_boottime` of the process's first thread, nanoseconds: with the
    /// process id it names a process for ever.
    pub start_ns: u64,
    /// Id of its cgroup in the unified hierarchy.
    pub cgroup: u64,
    /// `bpf_ktime_get_boot_ns` when the record was made.
    pub since_ns: u64,
    /// Process id, as the initial namespace counts.
    pub tgid: u32,
    /// User id, as the initial namespace counts.
    pub uid: u32,
    /// Which function of the GUP family was called: index in [`crate::GUP_FUNCTIONS`], or
    /// [`PREEXISTING`].
    pub function: u32,
    /// `gup_flags` of the call, as far as they tell owners apart.
    pub flags: u32,
    /// Name of the process's first thread.
    pub comm: [u8; 16],
    /// Frames kept.
    pub frame_count: u32,
    /// Zero; keeps the layout free of padding.
    pub reserved: u32,
    /// References this owner ever took, in pages.
    pub pages_taken: u64,
    /// How long it held a folio without a break, by [`hold_bucket`].
    pub holds: [u64; HOLD_BUCKETS],
    /// Sum of those times, nanoseconds.
    pub held_ns: u64,
    /// Return addresses of the call path, innermost first.
    pub frames: [u64; CALL_FRAMES],
    /// Address of its `mm_struct`, which tells whose pins a kernel thread releases.
    pub mm: u64,
    /// The kernel object that the pins belong to, an `io_ring_ctx`; 0 for none, or where
    /// that is not known.
    pub object: u64,
    /// The `mm_struct` that the object was made for: another one where it was inherited.
    pub object_mm: u64,
    /// Hash of all that tells owners apart but the object: those that have the same are one to a
    /// reader.
    pub kin: u64,
    /// Zero; fills the last cache line.
    pub reserved_too: [u64; 5],
}

// 8 * 4 + 4 * 4 + 16 + 8 + 8 + 256 + 8 + 160 + 32 = 536, and the rest of the line.
const _: () = assert!(size_of::<Owner>() == 576 && align_of::<Owner>() == 64);

/// Bucket of a hold time: the first counts those below 1,024 ns, each next one
/// those below twice as much, the last one all the rest (from 18 minutes on).
#[must_use]
#[inline(always)]
pub const fn hold_bucket(ns: u64) -> usize {
    // By halves, the last four bits by a table: the kernel's machine has no instruction that
    // counts zeros.
    const BITS: u64 = 0x4444_4444_3333_2210;
    let mut rest = ns >> FIRST_HOLD_BITS;
    if rest >> (HOLD_BUCKETS - 2) != 0 {
        return HOLD_BUCKETS - 1;
    }
    let mut bucket = 0;
    let mut width = 16;
    while width >= 4 {
        if rest >> width != 0 {
            // Opaque, or the compiler reckons both outcomes of each before the first.
            rest = black_box(rest >> width);
            bucket += width;
        }
        width /= 2;
    }
    bucket + (BITS >> (rest << 2) & 15) as usize
}

/// A word more in the hash of an identity.
#[must_use]
#[inline(always)]
pub const fn mix(hash: u64, word: u64) -> u64 {
    let hash = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash ^ hash >> 29
}

/// Records looked at for an identity, or for room for it.
pub const OWNER_PLACES: u32 = 16;

/// Record at which the search for an identity begins; 0 is passed over.
#[must_use]
#[inline(always)]
pub const fn owner_slot(hash: u64, attempt: u32, mask: u32) -> u32 {
    ((hash >> 32) as u32).wrapping_add(attempt) & mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_bucket_counts_what_is_below_its_bound() {
        for (ns, bucket) in [
            (0, 0),
            (1023, 0),
            (1024, 1),
            (2047, 1),
            (2048, 2),
            (u64::MAX, 31),
        ] {
            assert_eq!(hold_bucket(ns), bucket, "{ns}");
        }
        for bucket in 0..HOLD_BUCKETS - 1 {
            let bound = 1u64 << (FIRST_HOLD_BITS + bucket as u32);
            assert_eq!(hold_bucket(bound - 1), bucket);
            assert_eq!(hold_bucket(bound), bucket + 1);
        }
    }

    #[test]
    fn states_of_one_identity_differ_in_two_bits_only() {
        let hash = 0xdead_beef_0000_1234;
        let live = OwnerTag::new(hash, OwnerTag::LIVE);
        let retiring = OwnerTag::new(hash, OwnerTag::RETIRING);
        assert!(live.same_identity(retiring) && live != retiring);
        assert_eq!(retiring.state(), OwnerTag::RETIRING);
        assert!(!live.same_identity(OwnerTag::new(hash + 4, OwnerTag::LIVE)));
    }
}
