//! Every interleaving of two or three actors on a small book: CPUs that pin and release,
//! the audit, the cleaner, a walk.
//!
//! Words and notes are changed as on a machine that keeps the order of stores (x86-64);
//! what arm64 may do besides is said in ARCHITECTURE.md.

#![expect(clippy::unwrap_used, reason = "a test")]

mod common;

use std::sync::Arc;

use common::{Book, page};
use ledger::{Releaser, Table as _, clear_hint, close, doubt_hint, write_off};
use loom::{sync::atomic::AtomicU64, thread};
use probe_abi::{Lost, Word, folio_key};

type Small = Book<AtomicU64, 2>;

/// Nobody, and three processes.
fn owners() -> Vec<Releaser> {
    let of = |number: u64| Releaser {
        tgid: 100 * number,
        mm: 0x1000 * number,
        object: 0,
        doubt: 0,
    };
    (0..=3).map(of).collect()
}

/// Pins or releases of an owner on a folio of anonymous memory.
#[derive(Clone, Copy)]
enum Do {
    Pin(u64, u32),
    Release(u64, u32),
}
use Do::{Pin, Release};

fn run(book: &Small, acts: &[Do]) {
    for act in acts {
        match *act {
            Pin(folio, owner) => book.acquire(book.pins_of(folio, owner, 1, 1)),
            Release(folio, owner) => {
                let who = owners()[owner as usize];
                let missing = book.release(book.pins_of(folio, owner, 1, 1), who);
                // One that found no room is missing, and counted outside.
                assert!(missing == 0 || book.level() > 0 || book.lost(Lost::LEDGER_FULL) > 0);
            }
        }
    }
}

/// Runs `before` alone, then each of `actors` on a thread of its own, in every
/// interleaving with at most so many switches away from a thread that could go on.
fn check(
    buckets: u32,
    switches: usize,
    before: &'static [Do],
    actors: &'static [&'static [Do]],
    holds: impl Fn(&Small) + Sync + Send + 'static,
) {
    explore(switches, move || {
        let book = Arc::new(Small::new(buckets, &owners()));
        run(&book, before);
        let threads: Vec<_> = actors
            .iter()
            .map(|acts| {
                let book = Arc::clone(&book);
                thread::spawn(move || run(&book, acts))
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(book.lost(Lost::CONTENDED), 0);
        holds(&book);
    });
}

fn explore(switches: usize, run: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(switches);
    model.max_branches = 100_000;
    model.check(run);
}

/// What each owner has on folio 7, and all of it.
fn has(book: &Small, expected: &[(u32, u64)]) {
    for (owner, pins) in expected {
        assert_eq!(book.of(7, *owner), *pins, "owner {owner}");
    }
    let all: u64 = expected.iter().map(|it| it.1).sum();
    assert_eq!(
        book.pins().cast_signed() + book.outside(),
        all.cast_signed()
    );
}

#[test]
fn two_that_pin_the_same_folio_at_once_each_have_it() {
    check(2, 3, &[], &[&[Pin(7, 1)], &[Pin(7, 2)]], |book| {
        has(book, &[(1, 1), (2, 1)]);
    });
}

#[test]
fn one_that_pins_again_while_the_other_releases_keeps_its_own() {
    check(
        2,
        2,
        &[Pin(7, 1), Pin(7, 2)],
        &[&[Release(7, 1), Pin(7, 1)], &[Release(7, 2)]],
        |book| has(book, &[(1, 1), (2, 0)]),
    );
}

#[test]
fn one_that_comes_while_the_other_goes_and_comes_is_not_taken_from() {
    check(
        2,
        2,
        &[Pin(7, 1)],
        &[&[Release(7, 1), Pin(7, 1)], &[Pin(7, 2), Release(7, 2)]],
        |book| has(book, &[(1, 1), (2, 0)]),
    );
}

#[test]
fn two_threads_of_one_process_count_in_one_sum() {
    check(
        2,
        2,
        &[Pin(7, 1)],
        &[&[Pin(7, 1), Release(7, 1)], &[Pin(7, 1), Release(7, 1)]],
        |book| has(book, &[(1, 1)]),
    );
}

#[test]
fn three_owners_find_room_in_one_bucket_of_two_slots() {
    check(
        1,
        2,
        &[],
        &[&[Pin(7, 1), Release(7, 1)], &[Pin(7, 2)], &[Pin(7, 3)]],
        |book| {
            // One has to share, and is nobody's then, or finds no room at all.
            assert_eq!(book.pins().cast_signed() + book.outside(), 2);
        },
    );
}

#[test]
fn two_that_fill_the_last_slot_lose_no_page() {
    check(
        1,
        2,
        &[Pin(8, 3)],
        &[&[Pin(7, 1)], &[Pin(9, 2), Release(9, 2)]],
        |book| {
            assert_eq!(book.pins().cast_signed() + book.outside(), 2);
        },
    );
}

#[test]
fn the_hint_that_a_cleaner_takes_off_is_put_back_by_who_needs_it() {
    explore(3, || {
        let book = Arc::new(Small::new(2, &owners()));
        run(&book, &[Pin(7, 1)]);
        // A hint that nobody needs.
        let key = folio_key(page(7));
        while !ledger::raise_hint(&*book, key) {}
        let pins = {
            let book = Arc::clone(&book);
            thread::spawn(move || run(&book, &[Pin(7, 2)]))
        };
        let cleans = {
            let book = Arc::clone(&book);
            thread::spawn(move || {
                let table = &*book;
                let place = table.preferred(key).unwrap();
                let elsewhere = |(bucket, slot, word): (u32, usize, Word)| {
                    !word.is_empty() && table.preferred(word.key()) != Some((bucket, slot))
                };
                if doubt_hint(table, place.0, place.1) && !book.slots().any(elsewhere) {
                    clear_hint(table, place.0, place.1);
                }
            })
        };
        pins.join().unwrap();
        cleans.join().unwrap();
        // The one at the preferred place releases: it must not be taken from the other,
        // nor the other way round.
        run(&book, &[Release(7, 2)]);
        has(&book, &[(1, 1), (2, 0)]);
    });
}

#[test]
fn the_audit_takes_off_what_was_not_seen_and_no_more_whatever_is_pinned_meanwhile() {
    explore(3, || {
        let book = Arc::new(Small::new(2, &owners()));
        // Of the two pins the kernel holds one: a release was not seen.
        run(&book, &[Pin(7, 1), Pin(7, 1)]);
        let works = {
            let book = Arc::clone(&book);
            thread::spawn(move || run(&book, &[Pin(7, 2), Release(7, 1), Release(7, 2)]))
        };
        let audits = {
            let book = Arc::clone(&book);
            thread::spawn(move || {
                let want = book.pins_of(7, 0, 0, 1).want;
                let mut excess = 1;
                // Again and again, as the agent does.
                for (bucket, slot, _) in book.slots().collect::<Vec<_>>() {
                    let owner = (&*book).owner(bucket, slot);
                    if owner == 1 {
                        excess -= write_off(&*book, bucket, slot, want, owner, excess);
                    }
                }
                excess
            })
        };
        works.join().unwrap();
        let left = audits.join().unwrap();
        assert_eq!(book.pins(), left);
    });
}

#[test]
fn a_tombstone_is_closed_only_if_nobody_guped_the_folio_meanwhile() {
    explore(3, || {
        let book = Arc::new(Small::new(2, &owners()));
        let pin = book.pins_of(7, 1, 1, 0x2000);
        book.acquire(pin);
        book.release(pin, owners()[1]);
        let (bucket, slot, _) = book.slots().find(|it| !it.2.is_empty()).unwrap();
        let gups = (&*book).gups(bucket, slot);
        let gup = {
            let book = Arc::clone(&book);
            thread::spawn(move || {
                let pin = book.pins_of(7, 1, 1, 0x2000);
                book.acquire(pin);
                book.release(pin, owners()[1]);
            })
        };
        let walk = {
            let book = Arc::clone(&book);
            thread::spawn(move || close(&*book, bucket, slot, folio_key(page(7)), gups))
        };
        gup.join().unwrap();
        walk.join().unwrap();
        // Whoever came first: that the folio was GUPed is remembered.
        assert!(book.slots().any(|it| it.2.is_tombstone()));
        assert_eq!(book.pins().cast_signed() + book.outside(), 0);
    });
}
