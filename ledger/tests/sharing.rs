//! More owners of a folio than it has slots.

mod common;

use std::sync::atomic::AtomicU64;

use common::Book as Any;
use ledger::{Acquire, Choice, Fit, Rank, Releaser, Table as _};
use probe_abi::{Lost, NOBODY, Word};

type Book = Any<AtomicU64, 8>;

const FILE: u64 = 0x1000;
const ANON: u64 = 0x3001;
const RINGS: u32 = 20;
const OTHERS: u32 = RINGS + 1;
const PLAIN: u32 = RINGS + 2;

/// One bucket, which is both buckets of every folio.
fn book(owners: impl Fn(u64) -> Releaser) -> Book {
    let owners: Vec<_> = (0..=u64::from(PLAIN)).map(owners).collect();
    Any::new(1, &owners)
}

/// Each a process of its own.
fn processes(number: u64) -> Releaser {
    Releaser {
        tgid: 100 * number,
        mm: 0x1000 * number,
        object: 0,
        doubt: 0,
    }
}

/// Each a ring of the same process; the last but one is another process's ring, and the last one
/// no ring but of the first process.
fn rings(number: u64) -> Releaser {
    let process = 1 + u64::from(number == u64::from(OTHERS));
    let object = if number == u64::from(PLAIN) {
        0
    } else {
        0xabc * number
    };
    Releaser {
        object,
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
fn who_may_release_for_another_one_leaves_a_guess() {
    for (doubt, is_a_guess) in [(Fit::OF_OTHERS, true), (Fit::OF_OBJECTS, false), (0, false)] {
        let book = book(processes);
        book.acquire(book.pins_of(0, 1, 1, FILE));
        book.acquire(book.pins_of(0, 2, 1, FILE));
        let releaser = Releaser {
            doubt,
            ..processes(2)
        };
        book.release(book.pins_of(0, NOBODY, 1, FILE), releaser);
        assert_eq!((book.of(0, 1), book.of(0, 2)), (1, 0));
        assert_eq!(book.is_a_guess(0), is_a_guess, "{doubt}");
    }
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
    assert!(!book.is_a_guess(0));
    // Another process's ring has no sibling there.
    book.acquire(book.pins_of(0, OTHERS, 1, FILE));
    assert!(book.lost(Lost::OWNERS_FULL) > 0);
    assert_eq!(book.pins(), 5 * 20 + 1);
}

#[test]
fn a_process_that_has_only_rings_shares_a_ring_s_slot_with_a_plain_pin() {
    let book = book(rings);
    for ring in 1..=8 {
        book.acquire(book.pins_of(0, ring, 5, FILE));
    }
    book.acquire(book.pins_of(0, PLAIN, 3, FILE));
    assert_eq!(book.lost(Lost::OWNERS_FULL), 0);
    // In the plain owner's name: so it is found by a release that is nobody's in particular.
    assert_eq!(book.of(0, PLAIN), 5 + 3);
    assert_eq!(
        book.release(book.pins_of(0, NOBODY, 3, FILE), Releaser::default()),
        0
    );
    assert_eq!(book.of(0, PLAIN), 5);
    // In which of the two ways the process has it, is not known.
    assert!(book.is_a_guess(0));
    // And a further ring leaves it that name.
    for ring in 9..=RINGS {
        book.acquire(book.pins_of(0, ring, 5, FILE));
    }
    assert_eq!(book.of(0, PLAIN), 5);
    assert_eq!(book.pins(), 5 * 20);
}

#[test]
fn strangers_share_the_slot_that_has_no_name_and_else_the_one_with_the_fewest_pins() {
    let book = book(processes);
    for owner in 1..=8 {
        book.acquire(book.pins_of(0, owner, 10 - u64::from(owner), FILE));
    }
    book.acquire(book.pins_of(0, 9, 100, FILE));
    assert_eq!((book.of(0, NOBODY), book.of(0, 8)), (2 + 100, 0));
    assert_eq!(book.lost(Lost::OWNERS_FULL), 2 + 100);
    book.acquire(book.pins_of(0, 10, 1, FILE));
    assert_eq!(book.of(0, NOBODY), 2 + 100 + 1);
    assert_eq!(book.held(0, 0).len(), 8);
}

#[test]
fn a_slot_that_can_count_no_more_is_not_shared() {
    let book = book(rings);
    for ring in 1..=8 {
        let n = if ring == 5 { 7 } else { Word::COUNT };
        book.acquire(book.pins_of(0, ring, n, FILE));
    }
    book.acquire(book.pins_of(0, 9, 2, FILE));
    assert_eq!(book.of(0, 5), 7 + 2);
    // Its own that is full is as good as none.
    book.acquire(book.pins_of(0, 1, 1, FILE));
    assert_eq!(book.of(0, 5), 7 + 2 + 1);
    assert_eq!(book.lost(Lost::CONTENDED), 0);
    // Where all are, it is not tried over and over.
    book.acquire(book.pins_of(0, 9, Word::COUNT - 10, FILE));
    book.acquire(book.pins_of(0, 9, 1, FILE));
    assert_eq!(book.lost(Lost::CONTENDED), 0);
}

/// What a pin of an owner would share.
fn chosen(book: &Book, acquire: &Acquire) -> Choice {
    let choices = [0, 1].map(|which| acquire.look_to_share(book, which));
    choices[0].max(choices[1])
}

fn acquire_of(book: &Book, folio: u64, owner: u32) -> Acquire {
    let mut acquire = Acquire::of(book, book.pins_of(folio, owner, 2, FILE), 0);
    acquire.rank = Rank::SHARED;
    acquire
}

#[test]
fn a_slot_of_another_folio_is_not_shared() {
    let book = book(rings);
    book.acquire(book.pins_of(0, 1, 5, FILE));
    let of_same_folio = chosen(&book, &acquire_of(&book, 0, 2));
    assert!(of_same_folio > chosen(&book, &acquire_of(&book, 0, OTHERS)));
    assert_eq!(chosen(&book, &acquire_of(&book, 1, 2)), Choice::NONE);
}

#[test]
fn a_sibling_s_slot_that_became_somebody_else_s_counts_for_nobody() {
    let book = book(rings);
    book.acquire(book.pins_of(0, 1, 5, FILE));
    let mut acquire = acquire_of(&book, 0, 2);
    let choice = chosen(&book, &acquire);
    book.release(book.pins_of(0, 1, 5, FILE), rings(1));
    book.acquire(book.pins_of(0, OTHERS, 7, FILE));
    assert!(acquire.share(&book, choice));
    assert_eq!(book.held(0, 0), [(NOBODY, 7 + 2)]);
    assert_eq!(book.lost(Lost::OWNERS_FULL), 7 + 2);
}

#[test]
fn a_slot_that_was_emptied_before_it_is_shared_is_of_now() {
    for newcomer in [2, OTHERS] {
        let book = &book(rings);
        book.acquire(book.pins_of(0, 1, 5, FILE));
        let mut acquire = acquire_of(book, 0, newcomer);
        let choice = chosen(book, &acquire);
        book.release(book.pins_of(0, 1, 5, FILE), rings(1));
        let released = book.now();
        assert!(acquire.share(book, choice));
        let (bucket, slot, _) = book.slots().find(|it| it.2.count() == 2).unwrap();
        assert!(book.since(bucket, slot) >= released);
    }
}

#[test]
fn a_slot_that_is_another_folio_s_now_is_looked_for_again() {
    let book = book(rings);
    book.acquire(book.pins_of(0, 1, 5, ANON));
    let mut acquire = acquire_of(&book, 0, 2);
    let choice = chosen(&book, &acquire);
    book.release(book.pins_of(0, 1, 5, ANON), rings(1));
    for folio in 1..9 {
        book.acquire(book.pins_of(folio, 3, 1, ANON));
    }
    assert!(!acquire.share(&book, choice));
    assert_eq!(acquire.references.left, 2);
    assert_eq!(book.pins(), 8);
    // And where there is none, somebody has to make room.
    assert!(acquire.share(&book, Choice::NONE));
    assert_eq!(acquire.rank, Rank::NO_ROOM);
}
