//! The ledger, mapped: one pass over it, and what few slots hold.

use std::{collections::HashSet, mem::offset_of, sync::atomic::Ordering, time::Instant};

use aya::maps::MapData;
use probe_abi::{
    BUCKET_SLOTS, Bucket, Kind, STRATA, SlotNote, Word, bucket_of, hash_of, ledger_shift,
    second_hash_of, stratum,
};

use super::mapped::Shared;
use crate::error::AgentError;

/// The table.
pub(crate) struct LedgerView {
    table: Shared,
    buckets: usize,
}

/// Pins of one owner on one folio, not yet released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PinEntry {
    /// The folio's key in the ledger.
    pub(crate) key: u64,
    /// Index of the owner's record.
    pub(crate) owner: u32,
    /// Pins, in pages.
    pub(crate) pins: u32,
    /// Pages of the folio.
    pub(crate) pages: u32,
    /// `bpf_ktime_get_ns` when this owner's count last left zero.
    pub(crate) since_ns: u64,
    /// `folio->mapping` then, tag bits included.
    pub(crate) mapping: u64,
    /// The memory cgroup charged for it, as the kernel keeps it.
    pub(crate) memcg: u64,
}

impl PinEntry {
    /// The folio's stratum, see [`probe_abi::stratum`].
    pub(crate) fn stratum(&self) -> usize {
        stratum(self.key) as usize
    }
}

/// One pass over the ledger.
#[derive(Clone, Debug, Default)]
pub(crate) struct LedgerSnapshot {
    /// Pins outstanding, a line for each owner of a folio.
    pub(crate) pins: Vec<PinEntry>,
    /// By stratum, pages in slots of folios that sampling no longer keeps: what is
    /// released of them is passed over, and the slot stays as it was.
    pub(crate) stale: [u64; STRATA],
    /// Plain references not yet seen released, on file folios.
    pub(crate) references: u64,
    /// Slots in use, those that only remember included.
    pub(crate) slots_used: u64,
    /// Every owner that a slot names, whatever its count.
    pub(crate) owners: HashSet<u32>,
}

impl LedgerView {
    pub(crate) fn map(data: &MapData, buckets: usize) -> Result<Self, AgentError> {
        Ok(Self {
            table: Shared::new(data, "LEDGER", buckets * size_of::<Bucket>())?,
            buckets,
        })
    }

    /// Reads the ledger, which keeps the strata from `level` on.
    pub(crate) fn snapshot(&self, level: u64) -> LedgerSnapshot {
        let mut snapshot = LedgerSnapshot::default();
        for (bucket, slot) in self.slots() {
            let word = self.word(bucket, slot);
            if word.is_empty() {
                continue;
            }
            snapshot.slots_used += 1;
            // A note may be a moment older than its word.
            let note = self.note(bucket, slot);
            snapshot.owners.insert(note.owner);
            if word.count() == 0 || word.is_busy() {
                continue;
            }
            if word.kind() == Kind::Get {
                snapshot.references += u64::from(word.count());
                continue;
            }
            let stratum = stratum(word.key());
            if u64::from(stratum) < level {
                snapshot.stale[stratum as usize] += u64::from(word.count());
                continue;
            }
            snapshot.pins.push(PinEntry {
                key: word.key(),
                owner: note.owner,
                pins: word.count(),
                pages: note.pages,
                since_ns: note.since_ns,
                mapping: note.mapping,
                memcg: note.memcg,
            });
        }
        snapshot
    }

    /// Takes the pins of folios of one stratum out of the ledger; how many pages.
    pub(crate) fn sweep(&self, swept: usize) -> u64 {
        let mut pages = 0;
        for (bucket, slot) in self.slots() {
            let word = self.word(bucket, slot);
            let mine = stratum(word.key()) as usize == swept && !word.is_busy();
            if word.is_empty() || !mine {
                continue;
            }
            let at = self.table.word(word_offset(bucket, slot));
            let taken = at.compare_exchange(word.0, 0, Ordering::AcqRel, Ordering::Acquire);
            if taken.is_ok() && word.kind() == Kind::Pin {
                pages += u64::from(word.count());
            }
        }
        pages
    }

    /// Keys of every slot that names one of these owners, whatever its count, of those
    /// that were looked at by then: a large ledger takes a while.
    pub(crate) fn keys_of(&self, owners: &HashSet<u32>, until: Instant) -> HashSet<u64> {
        const BETWEEN_LOOKS_AT_THE_CLOCK: usize = 4096;
        let mut keys = HashSet::new();
        for place in self.slots() {
            if place.0.is_multiple_of(BETWEEN_LOOKS_AT_THE_CLOCK) && Instant::now() > until {
                break;
            }
            keys.extend(self.named(place, owners).map(Word::key));
        }
        keys
    }

    /// Mapcount decrements by zaps that were noted for these owners on the folios of
    /// these keys.
    pub(crate) fn zapped(&self, keys: &HashSet<u64>, owners: &HashSet<u32>) -> u32 {
        let slots = self.slots_of(keys).filter(|place| {
            let word = self.named(*place, owners);
            word.is_some_and(|it| keys.contains(&it.key()))
        });
        slots
            .map(|(bucket, slot)| self.note(bucket, slot).zaps)
            .fold(0, u32::wrapping_add)
    }

    /// References of these owners on the folios of these keys.
    pub(crate) fn held(&self, keys: &HashSet<u64>, owners: &HashSet<u32>) -> u64 {
        self.slots_of(keys)
            .filter_map(|place| self.named(place, owners))
            .filter(|word| keys.contains(&word.key()))
            .map(|word| u64::from(word.count()))
            .sum()
    }

    /// Takes these owners off the folios of these keys. The caller knows that
    /// nothing is held by then.
    pub(crate) fn forget(&self, keys: &HashSet<u64>, owners: &HashSet<u32>) {
        for place in self.slots_of(keys) {
            if let Some(word) = self.named(place, owners)
                && keys.contains(&word.key())
            {
                let at = self.table.word(word_offset(place.0, place.1));
                // One that changes just now is another's, by the caller's word.
                let _ = at.compare_exchange(word.0, 0, Ordering::AcqRel, Ordering::Acquire);
            }
        }
    }

    /// The word of a slot in use by one of these owners.
    fn named(&self, (bucket, slot): (usize, usize), owners: &HashSet<u32>) -> Option<Word> {
        let word = self.word(bucket, slot);
        let is_theirs =
            !word.is_empty() && !word.is_busy() && owners.contains(&self.note(bucket, slot).owner);
        is_theirs.then_some(word)
    }

    /// Every slot in which one of these keys may be, once.
    fn slots_of(&self, keys: &HashSet<u64>) -> impl Iterator<Item = (usize, usize)> {
        let shift = ledger_shift(self.buckets as u32);
        let buckets: HashSet<u32> = keys
            .iter()
            .flat_map(|key| [hash_of(*key), second_hash_of(*key)])
            .map(|hash| bucket_of(hash, shift))
            .collect();
        buckets
            .into_iter()
            .flat_map(|bucket| (0..BUCKET_SLOTS).map(move |slot| (bucket as usize, slot)))
    }

    /// Slots there are.
    pub(crate) fn capacity(&self) -> u64 {
        (self.buckets * BUCKET_SLOTS) as u64
    }

    fn slots(&self) -> impl Iterator<Item = (usize, usize)> {
        (0..self.buckets).flat_map(|bucket| (0..BUCKET_SLOTS).map(move |slot| (bucket, slot)))
    }

    fn word(&self, bucket: usize, slot: usize) -> Word {
        let at = self.table.word(word_offset(bucket, slot));
        Word(at.load(Ordering::Acquire))
    }

    fn note(&self, bucket: usize, slot: usize) -> SlotNote {
        let notes = bucket * size_of::<Bucket>() + offset_of!(Bucket, notes);
        self.table.copy(notes + slot * size_of::<SlotNote>())
    }
}

fn word_offset(bucket: usize, slot: usize) -> usize {
    bucket * size_of::<Bucket>() + offset_of!(Bucket, words) + slot * 8
}
