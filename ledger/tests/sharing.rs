//! More owners of a folio than it has slots.

mod common;

use std::{collections::BTreeMap, sync::atomic::AtomicU64};

use common::Book as Any;
use ledger::{Acquire, Place, Rank, Releaser, Table as _};
use probe_abi::{Lost, NOBODY};
use proptest::prelude::*;

type Book = Any<AtomicU64, 8>;

const FILE: u64 = 0x1000;
const ANON: u64 = 0x3001;
const RINGS: u32 = 20;

/// One bucket, which is both buckets of every folio.
fn book(owners: impl Fn(u64) -> Releaser) -> Book {
    let owners: Vec<_> = (0..=u64::from(RINGS) + 1).map(owners).collect();
    Any::new(1, &owners)
}

/// Each a process of its own.
fn processes(number: u64) -> Releaser {
    Releaser {
        tgid: 100 * number,
        mm: 0x1000 * number,
        object: 0,
    }
}

/// Each a ring of the same process; the last one is another process's.
fn rings(number: u64) -> Releaser {
    let process = 1 + u64::from(number > u64::from(RINGS));
    Releaser {
        object: 0xabc * number,
        ..processes(process)
    }
}

#[test]
fn of_more_owners_than_slots_those_that_share_lose_their_names() {
    let shared = || {
        let book = book(processes);
        for owner in 1..=8 {
            book.acquire(book.pins_of(0, owner, 5, FILE));
        }
        assert_eq!(book.lost(Lost::OWNERS_FULL), 0);
        book
    };
    let book = shared();
    book.acquire(book.pins_of(0, 9, 2, FILE));
    assert_eq!(book.lost(Lost::OWNERS_FULL), 5 + 2);
    assert_eq!(book.of(0, NOBODY), 5 + 2);
    // What has no name is not lost once more.
    book.acquire(book.pins_of(0, 10, 1, FILE));
    assert_eq!(book.lost(Lost::OWNERS_FULL), 5 + 2 + 1);
    book.acquire(book.pins_of(0, NOBODY, 1, FILE));
    assert_eq!(book.lost(Lost::OWNERS_FULL), 5 + 2 + 1);
    // Nor has it one to lose.
    let book = shared();
    book.acquire(book.pins_of(0, NOBODY, 2, FILE));
    assert_eq!(book.lost(Lost::OWNERS_FULL), 5);
    assert_eq!(book.pins(), 8 * 5 + 2);
}

#[test]
fn rings_of_one_process_share_in_its_name() {
    let book = book(rings);
    for ring in 1..=RINGS {
        book.acquire(book.pins_of(0, ring, 5, FILE));
    }
    let held = book.held(0, 0);
    assert_eq!(held.iter().map(|it| it.1).sum::<u64>(), 5 * 20);
    assert!(held.iter().all(|it| it.0 != NOBODY), "{held:?}");
    assert_eq!(book.lost(Lost::OWNERS_FULL), 0);
    // Another process's ring has no sibling there.
    book.acquire(book.pins_of(0, RINGS + 1, 1, FILE));
    assert!(book.lost(Lost::OWNERS_FULL) > 0);
    assert_eq!(book.pins(), 5 * 20 + 1);
}

/// The place of a ring's sibling, as a pin of the ring would find it.
fn found(book: &Book, acquire: &Acquire) -> Option<Place> {
    let places = [0, 1].map(|which| acquire.look_for_sibling(book, which));
    places.into_iter().find(|it| *it != Place::NONE)
}

fn acquire_of(book: &Book, folio: u64, ring: u32) -> Acquire {
    let mut acquire = Acquire::of(book, book.pins_of(folio, ring, 2, FILE), 0);
    acquire.rank = Rank::SIBLING;
    acquire
}

#[test]
fn a_sibling_of_another_folio_is_none() {
    let book = book(rings);
    book.acquire(book.pins_of(0, 1, 5, FILE));
    assert!(found(&book, &acquire_of(&book, 0, 2)).is_some());
    assert_eq!(found(&book, &acquire_of(&book, 1, 2)), None);
    assert_eq!(found(&book, &acquire_of(&book, 0, RINGS + 1)), None);
}

#[test]
fn a_sibling_s_slot_that_became_somebody_else_s_counts_for_nobody() {
    let book = book(rings);
    book.acquire(book.pins_of(0, 1, 5, FILE));
    let mut acquire = acquire_of(&book, 0, 2);
    let place = found(&book, &acquire).unwrap();
    book.release(book.pins_of(0, 1, 5, FILE), rings(1));
    book.acquire(book.pins_of(0, RINGS + 1, 7, FILE));
    assert!(acquire.join(&book, place));
    assert_eq!(book.held(0, 0), [(NOBODY, 7 + 2)]);
    assert_eq!(book.lost(Lost::OWNERS_FULL), 7 + 2);
}

#[test]
fn a_sibling_s_slot_that_was_emptied_is_of_now() {
    let book = &book(rings);
    book.acquire(book.pins_of(0, 1, 5, FILE));
    let mut acquire = acquire_of(book, 0, 2);
    let place = found(book, &acquire).unwrap();
    book.release(book.pins_of(0, 1, 5, FILE), rings(1));
    let released = book.now();
    assert!(acquire.join(book, place));
    let (bucket, slot, _) = book.slots().find(|it| it.2.count() == 2).unwrap();
    assert!(book.since(bucket, slot) >= released);
    assert_eq!(book.lost(Lost::OWNERS_FULL), 0);
}

#[test]
fn a_sibling_s_slot_that_is_another_folio_s_now_is_looked_for_again() {
    let book = book(rings);
    book.acquire(book.pins_of(0, 1, 5, ANON));
    let mut acquire = acquire_of(&book, 0, 2);
    let place = found(&book, &acquire).unwrap();
    book.release(book.pins_of(0, 1, 5, ANON), rings(1));
    for folio in 1..9 {
        book.acquire(book.pins_of(folio, 3, 1, ANON));
    }
    assert!(!acquire.join(&book, place));
    assert_eq!(acquire.references.left, 2);
    assert_eq!(book.pins(), 8);
    // And where there is none, anybody's slot of the folio is next.
    assert!(!acquire.join(&book, Place::NONE));
    assert_eq!(acquire.rank, Rank::SHARED);
}

proptest! {
    /// In whatever order its rings come and go.
    #[test]
    fn what_rings_of_one_process_have_is_that_process_s(
        acts in prop::collection::vec((1..=RINGS, 1..4_u64, any::<bool>()), 1..200)
    ) {
        let book = book(rings);
        let mut truth = BTreeMap::<u32, u64>::new();
        for (ring, n, pins) in acts {
            let held = truth.entry(ring).or_default();
            if pins {
                *held += n;
                book.acquire(book.pins_of(0, ring, n, FILE));
            } else {
                let n = n.min(*held);
                *held -= n;
                let unknown = book.release(book.pins_of(0, ring, n, FILE), rings(u64::from(ring)));
                prop_assert_eq!(unknown, 0);
            }
            prop_assert_eq!(book.of(0, NOBODY), 0);
            prop_assert_eq!(book.pins(), truth.values().sum::<u64>());
        }
    }
}
