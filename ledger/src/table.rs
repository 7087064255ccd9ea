//! What the algorithm stands on: words and notes in buckets, and what is known of owners.

use probe_abi::{
    BUCKET_SLOTS, SlotNote, Word, bucket_of, folio_key, hash_of, preferred_slot_of, second_hash_of,
};

use crate::{Acquire, Release, Releaser};

/// Slots in buckets, changed by many at the same time.
///
/// The methods of the last two groups exist for the kernel's verifier, which has to be
/// shown that a loop ends and that two paths through the code are alike. A test has
/// plain loops there.
pub trait Table: Copy {
    /// A bucket of the table.
    type Bucket: Copy;

    /// Slots of a bucket; a power of two.
    const SLOTS: usize = BUCKET_SLOTS;

    /// How far a hash is shifted to be a bucket's index, see [`probe_abi::ledger_shift`].
    fn shift(self) -> u32;

    /// The bucket at an index below their number.
    fn bucket(self, index: u32) -> Option<Self::Bucket>;

    /// A slot's word. `slot` may be any number; what counts is its rest by [`Self::SLOTS`].
    fn word(self, bucket: Self::Bucket, slot: usize) -> Word;

    /// Makes `old` into `new`: whether `old` was there. A full barrier.
    fn swap(self, bucket: Self::Bucket, slot: usize, old: u64, new: u64) -> bool;

    /// Writes the word of a slot that is ours, whatever is there. Only where [`Self::swap`]
    /// may fail although nobody changed the word does it come to that.
    fn force(self, bucket: Self::Bucket, slot: usize, new: u64);

    /// The note's owner. It may be a moment older than the word, as may each of those below.
    fn owner(self, bucket: Self::Bucket, slot: usize) -> u32;

    /// The note's time.
    fn since(self, bucket: Self::Bucket, slot: usize) -> u64;

    /// The note's mapping.
    fn mapping(self, bucket: Self::Bucket, slot: usize) -> u64;

    /// The note's number of GUPs.
    fn gups(self, bucket: Self::Bucket, slot: usize) -> u32;

    /// The note's number of mapcount decrements.
    fn zaps(self, bucket: Self::Bucket, slot: usize) -> u32;

    /// When the note's folio was first remembered.
    fn opened(self, bucket: Self::Bucket, slot: usize) -> u32;

    /// Writes the whole note of a slot that is ours: its word is busy.
    fn write_note(self, bucket: Self::Bucket, slot: usize, note: SlotNote);

    /// Writes what an owner's first pin after a while changes: time, mapping, memory
    /// cgroup, order; not who the owner is, nor what was counted.
    fn renew_note(self, bucket: Self::Bucket, slot: usize, references: &References);

    /// Counts one GUP more in the note.
    fn count_gup(self, bucket: Self::Bucket, slot: usize);

    /// Counts mapcount decrements in the note.
    fn count_zaps(self, bucket: Self::Bucket, slot: usize, n: u32);

    /// Writes another owner into the note, or nobody.
    fn rename(self, bucket: Self::Bucket, slot: usize, owner: u32);

    /// Marks the note as one whose owner is a guess.
    fn mark_guess(self, bucket: Self::Bucket, slot: usize);

    /// Now, nanoseconds.
    fn now(self) -> u64;

    /// How well an owner fits who releases references: a [`crate::Fit`], as a number.
    fn fit(self, owner: u32, releaser: &Releaser) -> u64;

    /// How near two owners are: a [`crate::Kinship`], as a number.
    fn kinship(self, one: u32, other: u32) -> u64;

    /// An owner gave its last reference on a folio back, which it had since then.
    fn held_since(self, owner: u32, since_ns: u64);

    /// The first stratum that the ledger keeps.
    fn level(self) -> u64;

    /// Keeps one stratum less than at `level`, unless somebody just did; false where there
    /// is none left to give up.
    fn raise_level(self, level: u64) -> bool;

    /// Counts pages lost, by a [`probe_abi::Lost`] cause.
    fn lose(self, cause: usize, pages: u64);

    /// Counts pins (or, negative, their releases) of a folio that are not in the ledger.
    fn pass_over(self, key: u64, kind: u64, n: u64);

    /// Calls [`Acquire::add_step`] until it is done.
    fn add_to_own(self, acquire: &mut Acquire);

    /// Calls [`Acquire::look`] and [`Acquire::open`] until it is done; to share a slot
    /// [`Acquire::look_to_share`] for both buckets and, with the greater, [`Acquire::share`].
    fn open_slot(self, acquire: &mut Acquire);

    /// Calls [`crate::raise_hint`] for what is acquired, until it is done.
    fn raise_hint(self, acquire: &mut Acquire);

    /// Calls [`Acquire::clear_slot`] for every slot of the two buckets, and
    /// [`Acquire::has_room`], until it is done, [`crate::ROUNDS`] times at most.
    fn make_room(self, acquire: &mut Acquire);

    /// Calls [`Release::look`] for both buckets and [`Release::take_best`], until it is done.
    fn search(self, release: &mut Release);

    /// Calls [`Release::mark_guesses`] for both buckets.
    fn mark_guesses(self, release: &mut Release);

    /// A zero of which the verifier does not know that it is one.
    fn zero(self) -> u64 {
        0
    }

    /// The same number, of which neither the compiler nor the verifier knows anything.
    fn opaque(self, number: u64) -> u64 {
        number
    }

    /// Whether two words are equal, and no more is known of them afterwards.
    #[inline(always)]
    fn equal(self, left: u64, right: u64) -> bool {
        self.opaque(left ^ right) == 0
    }

    /// The two buckets of a key.
    #[inline(always)]
    fn buckets_of(self, key: u64) -> [u32; 2] {
        let shift = self.shift();
        [hash_of(key), second_hash_of(key)].map(|hash| bucket_of(hash, shift))
    }

    /// The place that a key prefers: a bucket and a slot in it.
    #[inline(always)]
    fn preferred(self, key: u64) -> Option<(Self::Bucket, usize)> {
        // Opaque, or the compiler works it out twice, in part.
        let hash = self.opaque(hash_of(key));
        let bucket = self.bucket(bucket_of(hash, self.shift()))?;
        Some((bucket, preferred_slot_of(hash) & (Self::SLOTS - 1)))
    }

    /// First slot of a bucket whose word passes, or [`Self::SLOTS`].
    ///
    /// The sum with an unknown zero keeps the verifier from following each outcome to
    /// the end of the program: they look alike to it.
    #[inline(always)]
    fn find(self, bucket: Self::Bucket, passes: impl Fn(Word, usize) -> bool) -> usize {
        let zero = self.zero() as usize;
        for slot in 0..Self::SLOTS {
            if passes(self.word(bucket, slot), slot) {
                return slot + zero;
            }
        }
        Self::SLOTS + zero
    }
}

/// References on a folio, that are acquired or released.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct References {
    /// The slot's word with no count: key and kind.
    pub want: u64,
    /// How many are not yet entered, or taken out.
    pub left: u64,
    /// `folio->mapping`, tag bits included.
    pub mapping: u64,
    /// The memory cgroup's word, of those that are acquired.
    pub memcg: u64,
    /// The folio's order.
    pub order: u32,
    /// Who acquires them.
    pub owner: u32,
}

impl References {
    /// `n` references of a kind (0 or [`Word::GET`]) on the folio of a head page.
    #[must_use]
    #[inline(always)]
    pub fn on(head: u64, kind: u64, n: u64, mapping: u64) -> Self {
        Self {
            want: folio_key(head) << Word::KEY_SHIFT | kind,
            left: n,
            mapping,
            memcg: 0,
            order: 0,
            owner: 0,
        }
    }

    /// The folio's key.
    #[must_use]
    #[inline(always)]
    pub fn key(&self) -> u64 {
        self.want >> Word::KEY_SHIFT
    }

    /// 0 or [`Word::GET`].
    #[must_use]
    #[inline(always)]
    pub fn kind(&self) -> u64 {
        self.want & Word::GET
    }
}
