//! Random work on a few folios, against a plain book that knows the truth: what each owner
//! has, what was released and not seen, what is outside the sample.

mod common;

use std::{collections::BTreeMap, sync::atomic::AtomicU64};

use common::{Book, page};
use ledger::{References, Releaser, Table as _, clear_hint, close, doubt_hint, keeps, write_off};
use probe_abi::{Lost, Word, folio_key};
use proptest::prelude::*;

const OWNERS: u32 = 4;

#[derive(Clone, Debug)]
enum Act {
    Pin {
        folio: u64,
        owner: u32,
        n: u64,
    },
    Release {
        folio: u64,
        owner: u32,
        n: u64,
    },
    /// In an interrupt: whose it is, is not known.
    ReleaseUnknown {
        folio: u64,
        n: u64,
    },
    /// No program saw it.
    ReleaseUnseen {
        folio: u64,
        owner: u32,
        n: u64,
    },
    /// Nobody saw the pin.
    PinUnseen {
        folio: u64,
        owner: u32,
        n: u64,
    },
    /// The ledger is held against the kernel's own count.
    Audit {
        folio: u64,
    },
    /// A walk finds the folio clean.
    Close {
        folio: u64,
    },
    /// Hints that nobody needs are taken off.
    ClearHints,
}

fn act(folios: u64) -> impl Strategy<Value = Act> {
    let folio = 0..folios;
    let owner = 1..=OWNERS;
    prop_oneof![
        6 => (folio.clone(), owner.clone(), 1..4u64)
            .prop_map(|(folio, owner, n)| Act::Pin { folio, owner, n }),
        6 => (folio.clone(), owner.clone(), 1..4u64)
            .prop_map(|(folio, owner, n)| Act::Release { folio, owner, n }),
        1 => (folio.clone(), 1..4u64).prop_map(|(folio, n)| Act::ReleaseUnknown { folio, n }),
        1 => (folio.clone(), owner.clone(), 1..4u64)
            .prop_map(|(folio, owner, n)| Act::ReleaseUnseen { folio, owner, n }),
        1 => (folio.clone(), owner, 1..4u64)
            .prop_map(|(folio, owner, n)| Act::PinUnseen { folio, owner, n }),
        2 => folio.clone().prop_map(|folio| Act::Audit { folio }),
        1 => folio.prop_map(|folio| Act::Close { folio }),
        1 => Just(Act::ClearHints),
    ]
}

/// What is true of one folio.
#[derive(Clone, Debug, Default)]
struct Truth {
    /// Pins that the kernel holds, by owner.
    held: BTreeMap<u32, u64>,
    /// Whether all of its releases were by known owners and everything was seen, so that
    /// the ledger must have each owner's.
    is_plain: bool,
}

impl Truth {
    fn all(&self) -> u64 {
        self.held.values().sum()
    }
}

struct World<const S: usize> {
    book: Book<AtomicU64, S>,
    owners: Vec<Releaser>,
    truths: BTreeMap<u64, Truth>,
    /// Pins of the kernel less pins in the ledger and outside it, as far as the acts made
    /// them differ.
    unseen: i64,
}

/// Folios of files are even, anonymous ones odd.
fn mapping(folio: u64) -> u64 {
    0x1_0000 * (folio + 1) + folio % 2
}

impl<const S: usize> World<S> {
    fn new(buckets: u32) -> Self {
        let of = |number: u64| Releaser {
            tgid: 100 * number,
            mm: 0x1000 * number,
            object: if number == u64::from(OWNERS) {
                0xabc
            } else {
                0
            },
            doubt: 0,
        };
        let owners: Vec<_> = (0..=u64::from(OWNERS)).map(of).collect();
        Self {
            book: Book::new(buckets, &owners),
            owners,
            truths: BTreeMap::new(),
            unseen: 0,
        }
    }

    fn truth(&mut self, folio: u64) -> &mut Truth {
        let plain = || Truth {
            is_plain: true,
            ..Truth::default()
        };
        self.truths.entry(folio).or_insert_with(plain)
    }

    fn references(&self, folio: u64, owner: u32, n: u64) -> References {
        self.book.pins_of(folio, owner, n, mapping(folio))
    }

    fn run(&mut self, act: &Act) {
        match *act {
            Act::Pin { folio, owner, n } => {
                *self.truth(folio).held.entry(owner).or_default() += n;
                self.book.acquire(self.references(folio, owner, n));
            }
            Act::Release { folio, owner, n } => {
                let n = self.drop(folio, owner, n);
                if n > 0 {
                    let references = self.references(folio, owner, n);
                    self.book.release(references, self.owners[owner as usize]);
                }
            }
            Act::ReleaseUnknown { folio, n } => {
                let held = self.truth(folio).held.clone();
                let Some((owner, _)) = held.into_iter().find(|it| it.1 > 0) else {
                    return;
                };
                let n = self.drop(folio, owner, n);
                self.truth(folio).is_plain = false;
                let references = self.references(folio, owner, n);
                self.book.release(references, Releaser::default());
            }
            Act::ReleaseUnseen { folio, owner, n } => {
                let n = self.drop(folio, owner, n);
                if n > 0 {
                    self.truth(folio).is_plain = false;
                    self.unseen -= n.cast_signed();
                }
            }
            Act::PinUnseen { folio, owner, n } => {
                let truth = self.truth(folio);
                *truth.held.entry(owner).or_default() += n;
                truth.is_plain = false;
                self.unseen += n.cast_signed();
            }
            Act::Audit { folio } => self.audit(folio),
            Act::Close { folio } => {
                for (bucket, slot, _) in self.book.slots().collect::<Vec<_>>() {
                    let gups = (&self.book).gups(bucket, slot);
                    close(&self.book, bucket, slot, folio_key(page(folio)), gups);
                }
            }
            Act::ClearHints => self.clear_hints(),
        }
    }

    /// Takes up to `n` of what an owner has; how many.
    fn drop(&mut self, folio: u64, owner: u32, n: u64) -> u64 {
        let held = self.truth(folio).held.entry(owner).or_default();
        let n = n.min(*held);
        *held -= n;
        n
    }

    fn audit(&mut self, folio: u64) {
        if !keeps(folio_key(page(folio)), self.book.level()) {
            return;
        }
        let kernel = self.truth(folio).all();
        let want = References::on(page(folio), 0, 0, 0).want;
        let mut excess: u64 = self.book.held(folio, 0).iter().map(|it| it.1).sum();
        excess = excess.saturating_sub(kernel);
        for (bucket, slot, _) in self.book.slots().collect::<Vec<_>>() {
            let owner = (&self.book).owner(bucket, slot);
            let taken = write_off(&self.book, bucket, slot, want, owner, excess);
            excess -= taken;
            self.unseen += taken.cast_signed();
        }
        assert_eq!(excess, 0);
    }

    fn clear_hints(&mut self) {
        let table = &self.book;
        let needed: Vec<(u32, usize)> = self
            .book
            .slots()
            .filter(|(.., word)| !word.is_empty())
            .filter(|(bucket, slot, word)| table.preferred(word.key()) != Some((*bucket, *slot)))
            .filter_map(|(.., word)| table.preferred(word.key()))
            .collect();
        for (bucket, slot, _) in self.book.slots().collect::<Vec<_>>() {
            if !needed.contains(&(bucket, slot)) && doubt_hint(&self.book, bucket, slot) {
                clear_hint(&self.book, bucket, slot);
            }
        }
    }

    fn check(&self, after: &Act) {
        let kernel: u64 = self.truths.values().map(Truth::all).sum();
        let ledger = self.book.pins().cast_signed() + self.book.outside();
        assert_eq!(
            ledger + self.unseen,
            kernel.cast_signed(),
            "after {after:?}"
        );
        assert_eq!(
            self.book.lost(Lost::CONTENDED),
            0,
            "contended after {after:?}: {:?}",
            self.book.slots().collect::<Vec<_>>()
        );
        let exact = [Lost::OWNERS_FULL, Lost::LEDGER_FULL];
        if self.book.level() > 0 || exact.iter().any(|it| self.book.lost(*it) > 0) {
            return;
        }
        for (folio, truth) in self.truths.iter().filter(|it| it.1.is_plain) {
            for owner in 1..=OWNERS {
                let held = truth.held.get(&owner).copied().unwrap_or(0);
                assert_eq!(
                    self.book.of(*folio, owner),
                    held,
                    "owner {owner} on folio {folio} after {after:?}"
                );
            }
            assert!(
                !self.book.is_a_guess(*folio),
                "folio {folio} after {after:?}"
            );
        }
    }
}

fn check<const S: usize>(buckets: u32, acts: &[Act]) {
    let mut world = World::<S>::new(buckets);
    for act in acts {
        world.run(act);
        world.check(act);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_roomy_book_is_as_the_plain_one(acts in prop::collection::vec(act(6), 1..120)) {
        check::<8>(8, &acts);
    }

    #[test]
    fn a_full_one_loses_no_page_from_the_sum(acts in prop::collection::vec(act(40), 1..200)) {
        check::<4>(2, &acts);
    }

    #[test]
    fn one_of_many_owners_and_few_slots_adds_up(acts in prop::collection::vec(act(3), 1..120)) {
        check::<2>(1, &acts);
    }
}

#[test]
fn what_was_not_seen_is_taken_off_and_nobody_elses_with_it() {
    let mut world = World::<8>::new(4);
    for act in [
        Act::Pin {
            folio: 1,
            owner: 1,
            n: 3,
        },
        Act::Pin {
            folio: 1,
            owner: 2,
            n: 2,
        },
        Act::ReleaseUnseen {
            folio: 1,
            owner: 1,
            n: 3,
        },
        Act::Audit { folio: 1 },
    ] {
        world.run(&act);
        world.check(&act);
    }
    assert_eq!(world.book.pins(), 2);
}

#[test]
fn a_release_in_an_interrupt_is_not_of_what_belongs_to_an_object() {
    let mut world = World::<8>::new(4);
    for act in [
        Act::Pin {
            folio: 1,
            owner: 1,
            n: 1,
        },
        // The one with an object pins last.
        Act::Pin {
            folio: 1,
            owner: OWNERS,
            n: 1,
        },
        Act::ReleaseUnknown { folio: 1, n: 1 },
    ] {
        world.run(&act);
    }
    assert_eq!(world.book.held(1, 0), [(OWNERS, 1)]);
    assert!(!world.book.is_a_guess(1));
}

#[test]
fn of_two_that_fit_alike_the_newest_is_taken_and_the_rest_is_a_guess() {
    let mut world = World::<8>::new(4);
    for act in [
        Act::Pin {
            folio: 1,
            owner: 1,
            n: 1,
        },
        Act::Pin {
            folio: 1,
            owner: 2,
            n: 1,
        },
        Act::ReleaseUnknown { folio: 1, n: 1 },
    ] {
        world.run(&act);
    }
    assert_eq!(world.book.held(1, 0), [(1, 1)]);
    assert!(world.book.is_a_guess(1));
    // Until it is pinned anew.
    world.run(&Act::Release {
        folio: 1,
        owner: 2,
        n: 1,
    });
    world.run(&Act::Pin {
        folio: 1,
        owner: 1,
        n: 1,
    });
    assert!(!world.book.is_a_guess(1));
}

#[test]
fn a_tombstone_that_is_guped_between_the_look_and_the_closing_stays() {
    let world = World::<8>::new(4);
    let book = &world.book;
    let pin = book.pins_of(2, 1, 1, mapping(2));
    let key = folio_key(page(2));
    book.acquire(pin);
    book.release(pin, world.owners[1]);
    let (bucket, slot, word) = book.slots().find(|it| !it.2.is_empty()).unwrap();
    assert!(word.is_tombstone());
    let gups = book.gups(bucket, slot);
    book.acquire(pin);
    book.release(pin, world.owners[1]);
    assert_eq!(book.slots().find(|it| !it.2.is_empty()).unwrap().2, word);
    assert!(!close(book, bucket, slot, key, gups));
    assert_eq!(book.slots().find(|it| !it.2.is_empty()).unwrap().2, word);
    assert!(close(book, bucket, slot, key, gups.wrapping_add(1)));
    assert!(book.slots().all(|it| it.2 == Word(0)));
}
