//! Every order of a few pins and releases, against a plain book: each release by a known
//! owner, so that what each of them has is known after every step.

#![expect(clippy::unwrap_used, reason = "a test")]

mod common;

use std::sync::atomic::AtomicU64;

use common::Book;
use ledger::Releaser;

const OWNERS: usize = 3;
const STEPS: usize = 6;

/// Process ids and address spaces of nobody and of three owners.
fn owners() -> Vec<Releaser> {
    let of = |number: u64| Releaser {
        tgid: 100 * number,
        mm: 0x1000 * number,
        object: 0,
        doubt: 0,
    };
    (0..=OWNERS as u64).map(of).collect()
}

/// A pin or a release of an owner.
#[derive(Clone, Copy, Debug)]
struct Step {
    owner: usize,
    acquires: bool,
}

/// Every sequence of steps in which nobody releases what it does not have.
fn sequences() -> Vec<Vec<Step>> {
    fn grow(so_far: &mut Vec<Step>, held: &mut [u64; OWNERS + 1], all: &mut Vec<Vec<Step>>) {
        all.push(so_far.clone());
        if so_far.len() == STEPS {
            return;
        }
        for owner in 1..=OWNERS {
            for acquires in [true, false] {
                if !acquires && held[owner] == 0 {
                    continue;
                }
                held[owner] = if acquires {
                    held[owner] + 1
                } else {
                    held[owner] - 1
                };
                so_far.push(Step { owner, acquires });
                grow(so_far, held, all);
                so_far.pop();
                held[owner] = if acquires {
                    held[owner] - 1
                } else {
                    held[owner] + 1
                };
            }
        }
    }
    let mut all = Vec::new();
    grow(&mut Vec::new(), &mut [0; OWNERS + 1], &mut all);
    all
}

/// Runs a sequence on folio 7, beside what `prepare` has put into the book.
fn check<const S: usize>(
    sequence: &[Step],
    buckets: u32,
    mapping: u64,
    prepare: impl Fn(&Book<AtomicU64, S>, usize),
) {
    let owners = owners();
    let book = Book::<AtomicU64, S>::new(buckets, &owners);
    let mut held = [0u64; OWNERS + 1];
    for (number, step) in sequence.iter().enumerate() {
        prepare(&book, number);
        let owner = step.owner as u32;
        let references = book.pins_of(7, owner, 1, mapping);
        if step.acquires {
            book.acquire(references);
            held[step.owner] += 1;
        } else {
            let missing = book.release(references, owners[step.owner]);
            assert_eq!(missing, 0, "{sequence:?}");
            held[step.owner] -= 1;
        }
        for (owner, held) in held.iter().enumerate().skip(1) {
            assert_eq!(
                book.of(7, owner as u32),
                *held,
                "owner {owner} after step {number} of {sequence:?}"
            );
        }
        assert!(!book.is_a_guess(7), "{sequence:?}");
    }
}

#[test]
fn every_order_of_six_pins_and_releases_of_three_owners_leaves_each_what_it_has() {
    let sequences = sequences();
    assert_eq!(sequences.len(), 6_871);
    for sequence in &sequences {
        for mapping in [1, 0x2000] {
            check::<8>(sequence, 4, mapping, |_, _| {});
        }
    }
}

/// The folio's preferred slot is another folio's at first, and free later.
#[test]
fn the_same_where_the_preferred_slot_becomes_free_in_the_middle() {
    let neighbour = neighbour_of_folio_7();
    for sequence in sequences() {
        for frees_after in 1..4 {
            check::<8>(&sequence, 4, 1, |book, number| {
                let pin = book.pins_of(neighbour, 0, 1, 1);
                if number == 0 {
                    book.acquire(pin);
                } else if number == frees_after {
                    book.release(pin, Releaser::default());
                }
            });
        }
    }
}

/// Another folio that prefers the same place as folio 7.
fn neighbour_of_folio_7() -> u64 {
    let place = |folio: u64| {
        let book = Book::<AtomicU64, 8>::new(4, &owners());
        book.acquire(book.pins_of(folio, 1, 1, 1));
        book.slots()
            .find(|it| !it.2.is_empty())
            .map(|it| (it.0, it.1))
            .unwrap()
    };
    let wanted = place(7);
    (8..10_000).find(|it| place(*it) == wanted).unwrap()
}

/// Each bucket has two slots only, so that the second one and shared slots are used.
#[test]
fn the_same_where_buckets_are_small() {
    for sequence in sequences() {
        check::<4>(&sequence, 1, 1, |_, _| {});
    }
}
