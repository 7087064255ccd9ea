//! A ledger in ordinary memory: the table that the tests run the algorithm on, with plain
//! loops. Words are of a type that a test chooses, so that one can interleave them.

use std::sync::atomic::Ordering::SeqCst;

use ledger::{
    Acquire, Attempt, Fit, Identity, Kinship, ROUNDS, Rank, References, Release, Releaser, Table,
    acquire_at_preferred, is_nowhere, keeps, raise_hint, release_at_preferred,
};
use probe_abi::{Lost, NoteFlags, SlotNote, Word, ledger_shift};

/// A word that several threads change.
pub trait Atomic {
    fn new(value: u64) -> Self;
    fn load(&self) -> u64;
    fn store(&self, value: u64);
    fn swap(&self, old: u64, new: u64) -> bool;
    fn add(&self, n: u64) -> u64;
}

/// A swap is a full barrier in the kernel; what loom calls sequentially consistent is
/// less, and takes the fences.
macro_rules! atomic {
    ($($path:ident)::+) => {
        impl Atomic for $($path::)+atomic::AtomicU64 {
            fn new(value: u64) -> Self {
                Self::new(value)
            }
            fn load(&self) -> u64 {
                Self::load(self, SeqCst)
            }
            fn store(&self, value: u64) {
                Self::store(self, value, SeqCst);
            }
            fn swap(&self, old: u64, new: u64) -> bool {
                $($path::)+atomic::fence(SeqCst);
                let done = self.compare_exchange(old, new, SeqCst, SeqCst).is_ok();
                $($path::)+atomic::fence(SeqCst);
                done
            }
            fn add(&self, n: u64) -> u64 {
                self.fetch_add(n, SeqCst)
            }
        }
    };
}

atomic!(std::sync);
atomic!(loom::sync);

/// Fields of a note that tests look at, each a word.
#[derive(Clone, Copy)]
enum Field {
    Since,
    Mapping,
    Gups,
    Zaps,
    Owner,
    Flags,
    Opened,
}

const FIELDS: usize = 7;

/// Causes of loss, and what is not in the ledger, by stratum's sum.
const LOSSES: usize = Lost::COUNT;

/// The whole book of a test: `S` slots a bucket.
pub struct Book<A, const S: usize> {
    words: Vec<A>,
    notes: Vec<[A; FIELDS]>,
    buckets: u32,
    clock: A,
    level: A,
    lost: [A; LOSSES],
    /// Pins less releases that are not in the ledger.
    outside: A,
    /// Times at which an owner's last reference on a folio went.
    pub ended: A,
    /// Who each owner is.
    owners: Vec<Identity>,
    attempts: u32,
}

/// A pin's folio: its head page's address.
pub(crate) fn page(number: u64) -> u64 {
    0xffff_ea00_0000_0000 + number * 64
}

impl<A: Atomic, const S: usize> Book<A, S> {
    pub fn new(buckets: u32, owners: &[Releaser]) -> Self {
        let slots = buckets as usize * S;
        Self {
            words: (0..slots).map(|_| A::new(0)).collect(),
            notes: (0..slots)
                .map(|_| std::array::from_fn(|_| A::new(0)))
                .collect(),
            buckets,
            clock: A::new(1 << 20),
            level: A::new(0),
            lost: std::array::from_fn(|_| A::new(0)),
            outside: A::new(0),
            ended: A::new(0),
            owners: (0..).zip(owners).map(identity_of).collect(),
            attempts: 256,
        }
    }

    pub fn lost(&self, cause: usize) -> u64 {
        self.lost[cause].load()
    }

    /// Pins less releases that are not in the ledger.
    pub fn outside(&self) -> i64 {
        self.outside.load().cast_signed()
    }

    pub fn level(&self) -> u64 {
        self.level.load()
    }

    pub fn lower_level(&self) {
        self.level.store(self.level.load() - 1);
    }

    /// Every slot: bucket, slot, word.
    pub fn slots(&self) -> impl Iterator<Item = (u32, usize, Word)> {
        let words = self.words.iter().enumerate();
        words.map(|(at, word)| ((at / S) as u32, at % S, Word(word.load())))
    }

    /// Owner and count of each slot that holds references of a kind on a folio.
    pub fn held(&self, folio: u64, kind: u64) -> Vec<(u32, u64)> {
        let want = References::on(page(folio), kind, 0, 0).want;
        self.slots()
            .filter(|(.., word)| word.0 & Word::IDENTITY == want && word.count() > 0)
            .map(|(bucket, slot, word)| (self.owner(bucket, slot), u64::from(word.count())))
            .collect()
    }

    /// What an owner has on a folio.
    pub fn of(&self, folio: u64, owner: u32) -> u64 {
        let held = self.held(folio, 0);
        held.iter().filter(|it| it.0 == owner).map(|it| it.1).sum()
    }

    /// All pins in the ledger.
    pub fn pins(&self) -> u64 {
        self.slots()
            .filter(|(.., word)| word.0 & Word::GET == 0 && !word.is_empty())
            .map(|(.., word)| u64::from(word.count()))
            .sum()
    }

    /// Whether the owner of a slot of this folio is marked as a guess.
    pub fn is_a_guess(&self, folio: u64) -> bool {
        let want = References::on(page(folio), 0, 0, 0).want;
        self.slots().any(|(bucket, slot, word)| {
            word.0 & Word::IDENTITY == want
                && word.count() > 0
                && self.field(bucket, slot, Field::Flags).load() & u64::from(NoteFlags::GUESS) != 0
        })
    }

    fn field(&self, bucket: u32, slot: usize, field: Field) -> &A {
        &self.notes[self.at(bucket, slot)][field as usize]
    }

    fn at(&self, bucket: u32, slot: usize) -> usize {
        bucket as usize * S + (slot & (S - 1))
    }

    fn owner(&self, bucket: u32, slot: usize) -> u32 {
        self.field(bucket, slot, Field::Owner).load() as u32
    }

    fn identity(&self, owner: u32) -> Identity {
        self.owners.get(owner as usize).copied().unwrap_or_default()
    }

    /// Acquires as a probe does: at the preferred slot, or the long way.
    pub fn acquire(&self, references: References) {
        let level = self.level();
        if !keeps(references.key(), level) {
            return Table::pass_over(self, references.key(), references.kind(), references.left);
        }
        if !acquire_at_preferred(self, &references) {
            Acquire::of(self, references, level).run(self);
        }
    }

    /// Releases as a probe does; how many were not in the ledger.
    pub fn release(&self, references: References, releaser: Releaser) -> u64 {
        let left = references.left - release_at_preferred(self, &references);
        if left == 0 {
            return 0;
        }
        let rest = References { left, ..references };
        let unknown = if is_nowhere(self, &rest) {
            left
        } else {
            Release::of(self, rest, releaser).run(self)
        };
        if unknown > 0 {
            Table::pass_over(self, rest.key(), rest.kind(), unknown.wrapping_neg());
        }
        unknown
    }

    /// `n` pins of an owner on a folio of anonymous memory (an odd mapping) or of a file.
    pub fn pins_of(&self, folio: u64, owner: u32, n: u64, mapping: u64) -> References {
        References {
            owner,
            ..References::on(page(folio), 0, n, mapping)
        }
    }
}

impl<A: Atomic, const S: usize> Table for &Book<A, S> {
    type Bucket = u32;
    const SLOTS: usize = S;

    fn shift(self) -> u32 {
        ledger_shift(self.buckets)
    }
    fn bucket(self, index: u32) -> Option<u32> {
        (index < self.buckets).then_some(index)
    }
    fn word(self, bucket: u32, slot: usize) -> Word {
        Word(self.words[self.at(bucket, slot)].load())
    }
    fn swap(self, bucket: u32, slot: usize, old: u64, new: u64) -> bool {
        self.words[self.at(bucket, slot)].swap(old, new)
    }
    fn force(self, _bucket: u32, _slot: usize, _new: u64) {
        panic!("a swap that nobody disturbed failed");
    }
    fn owner(self, bucket: u32, slot: usize) -> u32 {
        Book::owner(self, bucket, slot)
    }
    fn since(self, bucket: u32, slot: usize) -> u64 {
        self.field(bucket, slot, Field::Since).load()
    }
    fn mapping(self, bucket: u32, slot: usize) -> u64 {
        self.field(bucket, slot, Field::Mapping).load()
    }
    fn gups(self, bucket: u32, slot: usize) -> u32 {
        self.field(bucket, slot, Field::Gups).load() as u32
    }
    fn zaps(self, bucket: u32, slot: usize) -> u32 {
        self.field(bucket, slot, Field::Zaps).load() as u32
    }
    fn opened(self, bucket: u32, slot: usize) -> u32 {
        self.field(bucket, slot, Field::Opened).load() as u32
    }
    fn write_note(self, bucket: u32, slot: usize, note: SlotNote) {
        for (field, value) in [
            (Field::Since, note.since_ns),
            (Field::Mapping, note.mapping),
            (Field::Gups, u64::from(note.gups)),
            (Field::Zaps, u64::from(note.zaps)),
            (Field::Owner, u64::from(note.owner)),
            (Field::Flags, u64::from(note.flags)),
            (Field::Opened, u64::from(note.opened)),
        ] {
            self.field(bucket, slot, field).store(value);
        }
    }
    fn renew_note(self, bucket: u32, slot: usize, references: &References) {
        let now = self.now();
        for (field, value) in [
            (Field::Since, now),
            (Field::Mapping, references.mapping),
            (Field::Flags, 0),
        ] {
            self.field(bucket, slot, field).store(value);
        }
    }
    fn count_gup(self, bucket: u32, slot: usize) {
        self.field(bucket, slot, Field::Gups).add(1);
    }
    fn count_zaps(self, bucket: u32, slot: usize, n: u32) {
        self.field(bucket, slot, Field::Zaps).add(u64::from(n));
    }
    fn rename(self, bucket: u32, slot: usize, owner: u32) {
        self.field(bucket, slot, Field::Owner)
            .store(u64::from(owner));
    }
    fn mark_guess(self, bucket: u32, slot: usize) {
        self.field(bucket, slot, Field::Flags)
            .store(u64::from(NoteFlags::GUESS));
    }
    fn now(self) -> u64 {
        self.clock.add(1 << 10)
    }
    fn fit(self, owner: u32, releaser: &Releaser) -> u64 {
        Fit::of(owner, &self.identity(owner), releaser) as u64
    }
    fn kinship(self, one: u32, other: u32) -> u64 {
        Kinship::of(&self.identity(one), &self.identity(other)) as u64
    }
    fn held_since(self, _owner: u32, since_ns: u64) {
        assert!(since_ns <= self.clock.load());
        self.ended.add(1);
    }
    fn level(self) -> u64 {
        Book::level(self)
    }
    fn raise_level(self, level: u64) -> bool {
        if level + 1 >= probe_abi::STRATA as u64 {
            return false;
        }
        self.level.swap(level, level + 1);
        true
    }
    fn lose(self, cause: usize, pages: u64) {
        self.lost[cause].add(pages);
    }
    fn pass_over(self, _key: u64, kind: u64, n: u64) {
        if kind == 0 {
            self.outside.add(n);
        }
    }
    fn add_to_own(self, acquire: &mut Acquire) {
        repeat(self.attempts, || acquire.add_step(self));
    }
    fn open_slot(self, acquire: &mut Acquire) {
        repeat(self.attempts, || {
            if acquire.rank != Rank::SHARED {
                let place = acquire.look(self);
                return acquire.open(self, place);
            }
            let choices = [0, 1].map(|which| acquire.look_to_share(self, which));
            acquire.share(self, choices[0].max(choices[1]))
        });
    }
    fn raise_hint(self, acquire: &mut Acquire) {
        repeat(self.attempts, || raise_hint(self, acquire.references.key()));
    }
    fn make_room(self, acquire: &mut Acquire) {
        repeat(ROUNDS as u32, || {
            for index in 0..2 * S as u64 {
                acquire.clear_slot(self, index);
            }
            acquire.has_room(self)
        });
    }
    fn search(self, release: &mut Release) {
        repeat(self.attempts, || {
            for which in 0..2 {
                release.look(self, which);
            }
            release.take_best(self) == Attempt::Done
        });
    }
    fn mark_guesses(self, release: &mut Release) {
        for which in 0..2 {
            release.mark_guesses(self, which);
        }
    }
}

/// An owner who releases as this one. Those with an object are kin, and the others pin each in
/// its own way.
fn identity_of((number, releaser): (u64, &Releaser)) -> Identity {
    let Releaser {
        tgid, mm, object, ..
    } = *releaser;
    let kin = if object == 0 { number } else { u64::MAX };
    Identity {
        tgid,
        mm,
        object,
        object_mm: if object == 0 { 0 } else { mm },
        kin,
    }
}

fn repeat(times: u32, mut step: impl FnMut() -> bool) {
    for _ in 0..times {
        if step() {
            return;
        }
    }
}
