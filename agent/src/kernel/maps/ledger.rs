//! The ledger, mapped to be read. It is changed by the probes, and by the program that makes
//! the agent's amendments.

use std::{mem::offset_of, ops::Range};

use aya::maps::MapData;
use probe_abi::{
    BUCKET_SLOTS, Bucket, Kind, SlotNote, Word, bucket_of, hash_of, ledger_shift,
    preferred_slot_of, second_hash_of, stratum,
};

use super::mapped::Mapped;
use crate::error::AgentError;

/// The table.
pub(crate) struct LedgerView {
    table: Mapped,
    buckets: usize,
}

/// A slot in use, as it was at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) bucket: u32,
    pub(crate) slot: u32,
    pub(crate) word: Word,
    pub(crate) note: SlotNote,
}

impl Slot {
    /// The folio's key.
    pub(crate) fn key(&self) -> u64 {
        self.word.key()
    }

    /// Index of the owner's record.
    pub(crate) fn owner(&self) -> u32 {
        u32::from(self.note.owner)
    }

    /// Pins that it counts.
    pub(crate) fn pins(&self) -> u64 {
        match self.word.kind() {
            Kind::Pin => u64::from(self.word.count()),
            Kind::Get => 0,
        }
    }

    /// Plain references that it counts.
    pub(crate) fn references(&self) -> u64 {
        match self.word.kind() {
            Kind::Get => u64::from(self.word.count()),
            Kind::Pin => 0,
        }
    }

    /// Pages of the folio.
    pub(crate) fn pages(&self) -> u64 {
        1 << (self.note.order & 31)
    }

    /// The folio's stratum, see [`probe_abi::stratum`].
    pub(crate) fn stratum(&self) -> usize {
        stratum(self.key()) as usize
    }
}

impl LedgerView {
    pub(crate) fn map(data: &MapData, buckets: usize) -> Result<Self, AgentError> {
        Ok(Self {
            table: Mapped::new(data, "LEDGER", buckets * size_of::<Bucket>())?,
            buckets,
        })
    }

    /// Buckets there are.
    pub(crate) fn buckets(&self) -> usize {
        self.buckets
    }

    /// Slots there are.
    pub(crate) fn capacity(&self) -> u64 {
        (self.buckets * BUCKET_SLOTS) as u64
    }

    /// Whether a slot is the one that its folio prefers, and nobody says that the folio may
    /// have another: then it has none.
    pub(crate) fn is_alone(&self, slot: &Slot) -> bool {
        slot.word.0 & Word::HINT == 0 && self.preferred(slot.key()) == (slot.bucket, slot.slot)
    }

    /// The place that a key prefers.
    pub(crate) fn preferred(&self, key: u64) -> (u32, u32) {
        let hash = hash_of(key);
        let bucket = bucket_of(hash, ledger_shift(self.buckets as u32));
        (bucket, preferred_slot_of(hash) as u32)
    }

    /// Every slot in use.
    pub(crate) fn slots(&self) -> impl Iterator<Item = Slot> {
        (0..self.buckets).flat_map(|bucket| self.slots_in(bucket))
    }

    /// The slots in use of one bucket.
    pub(crate) fn slots_in(&self, bucket: usize) -> impl Iterator<Item = Slot> {
        let slots = if self.is_empty(bucket) {
            0
        } else {
            BUCKET_SLOTS
        };
        (0..slots).filter_map(move |slot| self.read(bucket, slot))
    }

    /// The slots in use of a folio.
    pub(crate) fn slots_of(&self, key: u64) -> impl Iterator<Item = Slot> {
        let shift = ledger_shift(self.buckets as u32);
        let [first, second] = [hash_of(key), second_hash_of(key)].map(|it| bucket_of(it, shift));
        let second = (second != first).then_some(second);
        [Some(first), second]
            .into_iter()
            .flatten()
            .flat_map(|bucket| self.slots_in(bucket as usize))
            .filter(move |slot| slot.key() == key)
    }

    /// A number that nearly always changes when any slot of these buckets does.
    pub(crate) fn digest(&self, buckets: Range<usize>) -> u64 {
        let mut digest = Digest::default();
        for bucket in buckets {
            let words = self.words(bucket);
            if are_empty(words) {
                digest.add_nothing(BUCKET_SLOTS);
                continue;
            }
            for (slot, word) in words.into_iter().enumerate() {
                digest.add(Word(word), || {
                    self.table.read(note_offset(bucket, slot) + GUPS)
                });
            }
        }
        digest.0
    }

    /// The slots in use of these buckets, and the digest of what was read here: another one than
    /// [`Self::digest`] gives, before or after, of what changed meanwhile.
    pub(crate) fn slots_and_digest(&self, buckets: Range<usize>) -> (Vec<Slot>, u64) {
        let mut digest = Digest::default();
        let mut slots = Vec::new();
        for (bucket, slot) in places(buckets) {
            let (word, note) = self.look(bucket, slot);
            digest.add(word, || gups(&note));
            slots.extend(in_use(bucket, slot, word, note));
        }
        (slots, digest.0)
    }

    /// A place without a folio, or with one: its word.
    pub(crate) fn word(&self, bucket: usize, slot: usize) -> Word {
        Word(self.table.read(word_offset(bucket, slot)))
    }

    /// Most are on most hosts, and each is looked at again and again.
    fn is_empty(&self, bucket: usize) -> bool {
        are_empty(self.words(bucket))
    }

    fn words(&self, bucket: usize) -> [u64; BUCKET_SLOTS] {
        self.table.words(word_offset(bucket, 0))
    }

    /// A slot if it is in use: its word, and the note that goes with it. Where the probes
    /// change it all the time, the last look counts.
    fn read(&self, bucket: usize, slot: usize) -> Option<Slot> {
        let (word, note) = self.look(bucket, slot);
        in_use(bucket, slot, word, note)
    }

    fn look(&self, bucket: usize, slot: usize) -> (Word, SlotNote) {
        const LOOKS: u32 = 3;
        let mut word = self.word(bucket, slot);
        let mut note = SlotNote::default();
        for _ in 0..LOOKS {
            if word.is_empty() || word.is_busy() {
                break;
            }
            note = self.table.copy(note_offset(bucket, slot));
            let again = self.word(bucket, slot);
            if again == word {
                break;
            }
            word = again;
        }
        (word, note)
    }
}

fn are_empty(words: [u64; BUCKET_SLOTS]) -> bool {
    words.iter().fold(0, |all, it| all | it) == 0
}

/// Every place in these buckets.
fn places(buckets: Range<usize>) -> impl Iterator<Item = (usize, usize)> {
    buckets.flat_map(|bucket| (0..BUCKET_SLOTS).map(move |slot| (bucket, slot)))
}

fn in_use(bucket: usize, slot: usize, word: Word, note: SlotNote) -> Option<Slot> {
    let in_use = !word.is_empty() && !word.is_busy();
    in_use.then_some(Slot {
        bucket: bucket as u32,
        slot: slot as u32,
        word,
        note,
    })
}

/// Word of a note that has its number of GUPs, which every pin changes.
const GUPS: usize = offset_of!(SlotNote, gups);

fn gups(note: &SlotNote) -> u64 {
    let word = bytemuck::bytes_of(note)[GUPS..].first_chunk();
    word.copied().map_or(0, u64::from_ne_bytes)
}

#[derive(Default)]
struct Digest(u64);

/// Bits by which the words before are moved on.
const ROTATION: u32 = 7;

impl Digest {
    /// As so many words that are 0.
    fn add_nothing(&mut self, words: usize) {
        self.0 = self.0.rotate_left(ROTATION * words as u32);
    }

    fn add(&mut self, word: Word, gups: impl FnOnce() -> u64) {
        self.0 = self.0.rotate_left(ROTATION) ^ word.0;
        if !word.is_empty() {
            self.0 = self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ gups();
        }
    }
}

fn word_offset(bucket: usize, slot: usize) -> usize {
    bucket * size_of::<Bucket>() + offset_of!(Bucket, words) + slot * 8
}

fn note_offset(bucket: usize, slot: usize) -> usize {
    bucket * size_of::<Bucket>() + offset_of!(Bucket, notes) + slot * size_of::<SlotNote>()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two buckets with a pin in the second slot of the first.
    fn with_a_pin() -> LedgerView {
        let buckets = 2;
        let ledger = LedgerView {
            table: Mapped::anonymous(buckets * size_of::<Bucket>()),
            buckets,
        };
        ledger
            .table
            .store(word_offset(0, 1), 77 << Word::KEY_SHIFT | 1);
        ledger.table.store(note_offset(0, 1) + GUPS, 5);
        ledger
    }

    #[test]
    fn what_was_read_has_the_digest_of_what_is_there() {
        let ledger = with_a_pin();
        let (slots, digest) = ledger.slots_and_digest(0..2);
        assert_eq!(slots, ledger.slots().collect::<Vec<_>>());
        assert_eq!((slots.len(), digest), (1, ledger.digest(0..2)));
    }

    /// A pin that was released after it was read, and is not there as it was not there before.
    #[test]
    fn what_was_read_of_a_moment_is_told_from_what_was_there_before_and_after() {
        let ledger = with_a_pin();
        let (slots, of_the_moment) = ledger.slots_and_digest(0..2);
        ledger.table.store(word_offset(0, 1), 0);
        assert_eq!(slots.len(), 1);
        assert_ne!(of_the_moment, ledger.digest(0..2));
        assert_eq!(
            ledger.slots_and_digest(0..2),
            (Vec::new(), ledger.digest(0..2))
        );
    }
}
