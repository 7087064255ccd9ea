//! Who makes room for whom in a bucket that is full.

mod common;

use std::sync::atomic::AtomicU64;

use common::{Book as Any, page};
use ledger::{Acquire, References, Releaser, Table as _, keeps};
use probe_abi::{Lost, Word, folio_key, stratum};

type Book = Any<AtomicU64, 8>;

const FILE: u64 = 0x1000;
const WE: u32 = 1;

/// One bucket, which is both buckets of every folio.
fn book() -> Book {
    Any::new(1, &[Releaser::default(); 2])
}

fn key(folio: u64) -> u64 {
    folio_key(page(folio))
}

fn pins(folio: u64) -> References {
    References {
        owner: WE,
        ..References::on(page(folio), 0, 1, FILE)
    }
}

fn gets(folio: u64, n: u64) -> References {
    References {
        owner: WE,
        ..References::on(page(folio), Word::GET, n, FILE)
    }
}

fn has(book: &Book, folio: u64) -> bool {
    book.slots()
        .any(|it| !it.2.is_empty() && it.2.key() == key(folio))
}

/// Tombstones, plain references and what was given up for want of room.
fn lost(book: &Book) -> [u64; 3] {
    [Lost::TOMBSTONES, Lost::LEDGER_FULL, Lost::CONTENDED].map(|it| book.lost(it))
}

#[test]
fn a_tombstone_of_another_folio_goes_first() {
    let book = book();
    for folio in 0..8 {
        book.acquire(pins(folio));
        book.release(pins(folio), Releaser::default());
    }
    assert_eq!(lost(&book), [0, 0, 0]);
    book.acquire(pins(8));
    assert!(has(&book, 8));
    assert_eq!((lost(&book), book.level()), ([1, 0, 0], 0));
    // And a plain reference may have one, too.
    book.acquire(gets(9, 3));
    assert!(has(&book, 9) && has(&book, 8));
    assert_eq!(lost(&book), [2, 0, 0]);
}

#[test]
fn plain_references_go_for_a_pin() {
    let book = book();
    for folio in 0..8 {
        book.acquire(gets(folio, 3));
    }
    book.acquire(pins(8));
    assert!(has(&book, 8));
    assert_eq!((lost(&book), book.level()), ([0, 3, 0], 0));
}

#[test]
fn for_a_plain_reference_nothing_goes() {
    for full_of in [pins as fn(u64) -> References, |folio| gets(folio, 1)] {
        let book = book();
        for folio in 0..8 {
            book.acquire(full_of(folio));
        }
        book.acquire(gets(8, 3));
        assert!(!has(&book, 8) && (0..8).all(|it| has(&book, it)));
        assert_eq!((lost(&book), book.level()), ([0, 3, 0], 0));
    }
}

#[test]
fn for_a_pin_the_sample_is_halved_until_one_of_them_is_not_in_it() {
    for first in (0..900).step_by(9) {
        let book = book();
        for folio in first..first + 8 {
            book.acquire(pins(folio));
        }
        let new = first + 8;
        book.acquire(pins(new));
        // The first level at which a folio of the bucket, or the new one, is passed over.
        let level = |folio| u64::from(stratum(key(folio))) + 1;
        let others = (first..new).map(level).min().unwrap();
        let expected = others.min(level(new));
        assert_eq!(book.level(), expected, "{first}");
        let is_in = keeps(key(new), expected);
        assert_eq!(has(&book, new), is_in);
        for folio in first..new {
            assert_eq!(has(&book, folio), !is_in || keeps(key(folio), expected));
        }
        assert_eq!(book.pins().cast_signed() + book.outside(), 9);
        assert_eq!(lost(&book), [0, 0, 0]);
    }
}

#[test]
fn a_slot_whose_note_is_being_written_is_not_cleared() {
    let book = &book();
    let folio = (0..).find(|it| stratum(key(*it)) == 0).unwrap();
    book.acquire(pins(folio));
    let (bucket, slot, word) = book.slots().find(|it| !it.2.is_empty()).unwrap();
    let mut acquire = Acquire::of(book, pins(folio + 1), 1);
    let mut clear = || (0..16).for_each(|index| acquire.clear_slot(book, index));
    let busy = word.0 | Word::BUSY;
    assert!(book.swap(bucket, slot, word.0, busy));
    clear();
    assert_eq!(book.word(bucket, slot).0, busy);
    assert!(book.swap(bucket, slot, busy, word.0));
    clear();
    assert!(book.word(bucket, slot).is_empty());
}

#[test]
fn the_ledger_keeps_the_strata_from_the_level_on() {
    for folio in 0..1000 {
        let stratum = u64::from(stratum(key(folio)));
        for level in 0..8 {
            assert_eq!(keeps(key(folio), level), stratum >= level);
        }
    }
}
