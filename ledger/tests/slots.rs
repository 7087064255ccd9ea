//! What one call does to the slots of a folio, and what it leaves as it was.

mod common;

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use common::{Book as Any, page};
use ledger::{
    Attempt, Fit, References, Release, Releaser, Table as _, Totals, acquire_at_preferred,
    clear_hint, close, doubt_hint, forget, is_nowhere, mark_guess, note_zaps, raise_hint,
    release_at_preferred, totals, write_off,
};
use probe_abi::{Lost, NOBODY, Word, folio_key};

type Book = Any<AtomicU64, 8>;

const FILE: u64 = 0x1000;
const OTHER_FILE: u64 = 0x2000;
const ANON: u64 = 0x3001;
const WE: u32 = 1;
const OTHER: u32 = 2;

/// One bucket, which is both buckets of every folio.
fn book() -> Book {
    let owners: Vec<_> = (0..16).map(owner).collect();
    Any::new(1, &owners)
}

fn owner(number: u64) -> Releaser {
    Releaser {
        tgid: 100 * number,
        mm: 0x1000 * number,
        object: 0,
        doubt: 0,
    }
}

fn key(folio: u64) -> u64 {
    folio_key(page(folio))
}

/// Plain references of an owner on a folio of a file.
fn gets(folio: u64, owner: u32, n: u64) -> References {
    References {
        owner,
        ..References::on(page(folio), Word::GET, n, FILE)
    }
}

/// Folios that all prefer the place that the first of them does.
fn rivals(book: &Book, count: usize) -> Vec<u64> {
    let place = book.preferred(key(0));
    (0..)
        .filter(|it| book.preferred(key(*it)) == place)
        .take(count)
        .collect()
}

/// The slots of a folio: bucket, slot, word.
fn slots_of(book: &Book, folio: u64) -> Vec<(u32, usize, Word)> {
    book.slots()
        .filter(|it| !it.2.is_empty() && it.2.key() == key(folio))
        .collect()
}

/// Its only one.
fn slot_of(book: &Book, folio: u64) -> (u32, usize, Word) {
    let slots = slots_of(book, folio);
    assert_eq!(slots.len(), 1, "{slots:?}");
    slots[0]
}

fn total(book: &Book, folio: u64, mapping: u64) -> Totals {
    let mut found = Totals::none(0);
    totals(book, key(folio), mapping, &mut found);
    found
}

#[test]
fn whoever_pins_again_is_served_at_the_preferred_place() {
    let book = &book();
    let pins = book.pins_of(0, WE, 2, FILE);
    assert!(acquire_at_preferred(book, &pins));
    assert!(acquire_at_preferred(book, &pins));
    let place = slot_of(book, 0);
    assert_eq!(place.2.count(), 4);
    // Another owner, another kind, another folio: none of them is.
    for other in [
        book.pins_of(0, OTHER, 2, FILE),
        gets(0, WE, 2),
        book.pins_of(rivals(book, 2)[1], WE, 2, FILE),
    ] {
        assert!(!acquire_at_preferred(book, &other));
        assert_eq!(slot_of(book, 0), place);
    }
}

#[test]
fn what_was_noted_of_a_file_outlives_its_last_pin_and_is_not_anothers() {
    for (mapping, zaps) in [(FILE, 3), (OTHER_FILE, 0)] {
        let book = &book();
        book.acquire(book.pins_of(0, WE, 1, FILE));
        assert!(note_zaps(book, key(0), 3));
        book.release(book.pins_of(0, WE, 1, FILE), owner(1));
        let (bucket, slot, _) = slot_of(book, 0);
        let since = book.since(bucket, slot);
        book.acquire(book.pins_of(0, OTHER, 1, mapping));
        assert_eq!(slot_of(book, 0).2.count(), 1);
        assert_eq!(book.zaps(bucket, slot), zaps, "{mapping:x}");
        assert_eq!(book.mapping(bucket, slot), mapping);
        assert!(book.since(bucket, slot) > since);
    }
}

#[test]
fn a_tombstone_away_from_its_place_begins_to_be_held_anew() {
    let book = &book();
    let [first, second] = rivals(book, 2)[..] else {
        unreachable!()
    };
    book.acquire(book.pins_of(first, WE, 1, FILE));
    let pins = book.pins_of(second, WE, 1, FILE);
    book.acquire(pins);
    let (bucket, slot, _) = slot_of(book, second);
    let opened = book.since(bucket, slot);
    // A second pin is not when it began to be held.
    book.acquire(pins);
    assert_eq!(book.since(bucket, slot), opened);
    book.release(book.pins_of(second, WE, 2, FILE), owner(1));
    book.acquire(book.pins_of(second, WE, 1, OTHER_FILE));
    assert_eq!(slot_of(book, second).1, slot);
    assert!(book.since(bucket, slot) > opened);
    assert_eq!(book.mapping(bucket, slot), OTHER_FILE);
}

#[test]
fn the_last_release_of_an_owner_is_told_and_leaves_a_tombstone_of_a_file_only() {
    for (mapping, slots) in [(FILE, 1), (ANON, 0)] {
        for is_elsewhere in [false, true] {
            let book = &book();
            let rivals = rivals(book, 2);
            let folio = rivals[usize::from(is_elsewhere)];
            if is_elsewhere {
                book.acquire(book.pins_of(rivals[0], WE, 1, FILE));
            }
            book.acquire(book.pins_of(folio, WE, 3, mapping));
            let release = |n| book.release(book.pins_of(folio, WE, n, mapping), owner(1));
            assert_eq!(release(2), 0);
            assert_eq!((book.of(folio, WE), book.ended.load(SeqCst)), (1, 0));
            assert_eq!(release(1), 0);
            assert_eq!(slots_of(book, folio).len(), slots, "{mapping:x}");
            assert_eq!(book.ended.load(SeqCst), 1);
            // And one that the ledger does not have.
            assert_eq!(release(1), 1);
            assert_eq!(book.ended.load(SeqCst), 1);
        }
    }
}

#[test]
fn a_slot_counts_so_much_and_no_more() {
    let book = &book();
    let pin = |n| book.acquire(book.pins_of(0, WE, n, FILE));
    pin(Word::COUNT - 1);
    pin(1);
    assert_eq!(u64::from(slot_of(book, 0).2.count()), Word::COUNT);
    pin(1);
    let counts: Vec<_> = slots_of(book, 0).iter().map(|it| it.2.count()).collect();
    assert_eq!(counts.len(), 2);
    assert_eq!(
        counts.iter().map(|it| u64::from(*it)).sum::<u64>(),
        Word::COUNT + 1
    );
    assert_eq!(book.lost(Lost::CONTENDED), 0);
    let whole = book.pins_of(1, WE, Word::COUNT, FILE);
    book.acquire(whole);
    assert_eq!(book.of(1, WE), Word::COUNT);
    book.acquire(book.pins_of(2, WE, Word::COUNT + 1, FILE));
    assert_eq!(slots_of(book, 2), []);
    assert_eq!(book.lost(Lost::CONTENDED), Word::COUNT + 1);
}

#[test]
fn a_guess_is_marked_on_what_an_owner_has_of_the_folio_and_on_nothing_else() {
    let book = &book();
    book.acquire(book.pins_of(0, WE, 3, FILE));
    let (bucket, slot, word) = slot_of(book, 0);
    let want = word.0 & Word::IDENTITY;
    let other = slot_of_another_folio(book);
    for (want, owner) in [(want, OTHER), (other, WE)] {
        assert!(!mark_guess(book, bucket, slot, want, owner));
        assert!(!book.is_a_guess(0));
    }
    assert!(mark_guess(book, bucket, slot, want, WE));
    assert!(book.is_a_guess(0));
    assert_eq!(book.of(0, WE), 3);
    // What is remembered of a folio has no owner to doubt.
    book.release(book.pins_of(0, WE, 3, FILE), owner(1));
    assert!(!mark_guess(book, bucket, slot, want, WE));
}

#[test]
fn what_another_one_has_is_a_guess_once_who_may_release_it_releases_whoever_pinned_first() {
    let owners: Vec<_> = (0..16).map(owner).collect();
    // Where a folio prefers to be says which of the two is looked at first.
    for (folio, order) in (0..16).flat_map(|it| [(it, [WE, OTHER]), (it, [OTHER, WE])]) {
        let book: &Book = &Any::new(64, &owners);
        for owner in order {
            book.acquire(book.pins_of(folio, owner, 1, FILE));
        }
        let in_doubt = Releaser {
            doubt: Fit::OF_OTHERS,
            ..owner(1)
        };
        book.release(book.pins_of(folio, WE, 1, FILE), in_doubt);
        let left = [WE, OTHER].map(|it| book.of(folio, it));
        assert_eq!((left, book.is_a_guess(folio)), ([0, 1], true), "{order:?}");
    }
}

/// Key and kind of a folio that this book does not have.
fn slot_of_another_folio(book: &Book) -> u64 {
    book.pins_of(7, WE, 1, FILE).want
}

#[test]
fn the_sum_of_a_folio_is_of_its_own_slots_and_of_nothing_stale() {
    let book = &book();
    for folio in 0..3 {
        book.acquire(book.pins_of(folio, WE, 10 + folio, FILE));
    }
    book.acquire(gets(1, WE, 4));
    let of = |folio, mapping| {
        let it = total(book, folio, mapping);
        (it.pins, it.gets, it.slots)
    };
    assert_eq!(of(0, FILE), (10, 0, 1));
    assert_eq!(of(1, FILE), (11, 4, 2));
    // Whatever it is of now: it is pinned.
    assert_eq!(of(0, OTHER_FILE), (10, 0, 1));
    book.release(book.pins_of(0, WE, 10, FILE), owner(1));
    assert_eq!(of(0, FILE), (0, 0, 1));
    assert_eq!(of(0, OTHER_FILE), (0, 0, 0));
    assert_eq!(of(7, FILE), (0, 0, 0));
    // One whose note is not written yet.
    let (bucket, slot, word) = slot_of(book, 2);
    assert!(book.swap(bucket, slot, word.0, word.0 | Word::BUSY));
    assert_eq!(of(2, FILE), (0, 0, 0));
}

#[test]
fn zaps_are_noted_of_the_folio_alone_that_was_zapped() {
    let book = &book();
    for folio in 0..4 {
        book.acquire(book.pins_of(folio, WE, 1, FILE));
    }
    for folio in 0..4 {
        assert!(note_zaps(book, key(folio), 10 + folio as u32));
    }
    assert!(!note_zaps(book, key(9), 1));
    for folio in 0..4 {
        assert_eq!(total(book, folio, FILE).zaps, 10 + folio);
    }
    assert!(!note_zaps(&self::book(), key(0), 1));
}

#[test]
fn what_is_written_off_is_of_that_owner_and_leaves_what_a_release_would() {
    for (mapping, slots) in [(FILE, 1), (ANON, 0)] {
        let book = &book();
        let pins = book.pins_of(0, WE, 5, mapping);
        book.acquire(pins);
        let (bucket, slot, word) = slot_of(book, 0);
        let off = |want, owner, n| write_off(book, bucket, slot, want, owner, n);
        for (want, owner, n) in [
            (pins.want, OTHER, 2),
            (pins.want | Word::GET, WE, 2),
            (pins.want, WE, 0),
        ] {
            assert_eq!(off(want, owner, n), 0);
            assert_eq!(slot_of(book, 0).2, word);
        }
        assert_eq!(off(pins.want, WE, 2), 2);
        assert_eq!(slot_of(book, 0).2.count(), 3);
        // No more than there is.
        assert_eq!(off(pins.want, WE, 4), 3);
        assert_eq!(slots_of(book, 0).len(), slots, "{mapping:x}");
        assert_eq!(off(pins.want, WE, 1), 0);
    }
}

#[test]
fn a_slot_is_forgotten_as_it_was_seen_or_not_at_all() {
    let book = &book();
    book.acquire(book.pins_of(0, WE, 5, FILE));
    let (bucket, slot, word) = slot_of(book, 0);
    assert_eq!(forget(book, bucket, slot, Word(word.0 + 1)), 0);
    assert!(book.swap(bucket, slot, word.0, word.0 | Word::BUSY));
    assert_eq!(forget(book, bucket, slot, Word(word.0 | Word::BUSY)), 0);
    assert!(book.swap(bucket, slot, word.0 | Word::BUSY, word.0 | Word::HINT));
    assert_eq!(forget(book, bucket, slot, Word(word.0 | Word::HINT)), 5 + 1);
    assert_eq!(book.word(bucket, slot), Word(Word::HINT));
}

#[test]
fn a_tombstone_alone_is_closed_and_only_if_nobody_came() {
    let book = &book();
    book.acquire(book.pins_of(0, WE, 1, FILE));
    let (bucket, slot, pinned) = slot_of(book, 0);
    let gups = book.gups(bucket, slot);
    assert!(!close(book, bucket, slot, key(0), gups));
    assert_eq!(book.word(bucket, slot), pinned);
    book.release(book.pins_of(0, WE, 1, FILE), owner(1));
    let tombstone = book.word(bucket, slot);
    assert!(!close(book, bucket, slot, key(1), gups));
    assert!(!close(book, bucket, slot, key(0), gups + 1));
    assert!(book.swap(bucket, slot, tombstone.0, tombstone.0 | Word::BUSY));
    assert!(!close(book, bucket, slot, key(0), gups));
    assert_eq!(book.word(bucket, slot).0, tombstone.0 | Word::BUSY);
    assert!(book.swap(bucket, slot, tombstone.0 | Word::BUSY, tombstone.0));
    assert!(close(book, bucket, slot, key(0), gups));
    assert_eq!(book.word(bucket, slot), Word(0));
    assert!(!close(book, bucket, slot, 0, gups));
}

#[test]
fn a_hint_is_raised_doubted_and_cleared_in_that_order_only() {
    let book = &book();
    let (bucket, slot) = book.preferred(key(0)).unwrap();
    let word = || book.word(bucket, slot).0;
    assert!(!doubt_hint(book, bucket, slot) && !clear_hint(book, bucket, slot));
    assert!(raise_hint(book, key(0)));
    assert_eq!(word(), Word::HINT);
    assert!(!clear_hint(book, bucket, slot));
    assert!(doubt_hint(book, bucket, slot));
    assert_eq!(word(), Word::PLACE);
    // Somebody came meanwhile.
    assert!(raise_hint(book, key(0)));
    assert_eq!(word(), Word::HINT);
    assert!(!clear_hint(book, bucket, slot));
    assert!(doubt_hint(book, bucket, slot));
    // Whose note is being written is left alone.
    assert!(book.swap(bucket, slot, Word::PLACE, Word::PLACE | Word::BUSY));
    assert!(!doubt_hint(book, bucket, slot) && !clear_hint(book, bucket, slot));
    assert!(book.swap(bucket, slot, Word::PLACE | Word::BUSY, Word::PLACE));
    assert!(clear_hint(book, bucket, slot));
    assert_eq!(word(), 0);
}

#[test]
fn a_release_is_served_at_the_preferred_place_if_nothing_can_be_elsewhere() {
    let book = &book();
    let pins = book.pins_of(0, WE, 5, FILE);
    let two = book.pins_of(0, WE, 2, FILE);
    assert!(is_nowhere(book, &pins));
    assert_eq!(release_at_preferred(book, &pins), 0);
    book.acquire(pins);
    assert!(!is_nowhere(book, &pins) && is_nowhere(book, &gets(0, WE, 1)));
    assert_eq!(release_at_preferred(book, &two), 2);
    // Another folio that has this place, and one that may be elsewhere.
    let rival = book.pins_of(rivals(book, 2)[1], WE, 1, FILE);
    assert!(is_nowhere(book, &rival));
    assert_eq!(release_at_preferred(book, &rival), 0);
    assert!(raise_hint(book, key(0)));
    assert!(!is_nowhere(book, &rival));
    assert_eq!(release_at_preferred(book, &two), 0);
    let (bucket, slot) = book.preferred(key(0)).unwrap();
    assert!(doubt_hint(book, bucket, slot) && clear_hint(book, bucket, slot));
    assert_eq!(release_at_preferred(book, &pins), 3);
    assert_eq!(release_at_preferred(book, &pins), 0);
    assert!(is_nowhere(book, &pins));
}

#[test]
fn a_release_that_finds_nothing_looks_three_times() {
    let book = &book();
    let mut release = Release::of(book, book.pins_of(0, WE, 1, FILE), owner(1));
    let mut look = || {
        for which in 0..2 {
            release.look(book, which);
        }
        release.take_best(book)
    };
    let outcomes = [look(), look(), look()];
    assert_eq!(outcomes, [Attempt::GoOn, Attempt::GoOn, Attempt::Done]);
}

#[test]
fn a_release_that_takes_nothing_guesses_nothing() {
    let book = &book();
    for owner in [WE, OTHER] {
        book.acquire(book.pins_of(0, owner, 1, FILE));
    }
    for (n, is_a_guess) in [(0, false), (1, true)] {
        let mut release = Release::of(book, book.pins_of(0, NOBODY, n, FILE), Releaser::default());
        assert_eq!(release.run(book), 0);
        assert_eq!(book.is_a_guess(0), is_a_guess);
    }
}
