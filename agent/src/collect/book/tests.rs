//! The book of who holds what, from holdings to rows.

use std::{collections::HashMap, time::Duration};

use super::*;
use crate::{
    collect::holdings::{Holding, SharedFolio, Sums},
    owners::{files::Memory, registry::Registry},
};

const PAGE: u64 = 4096;

/// Of anonymous memory, a file, and nothing of each.
fn holder(mapping: u64) -> Holder {
    Holder {
        owner: 0,
        mapping,
        memcg: 0,
    }
}

/// Folios of one page, each pinned once.
fn holding(folios: u64) -> Holding {
    let mut squares = Squares::default();
    for _ in 0..folios {
        squares.add(&Squares::of(1, PAGE));
    }
    Holding {
        pins: folios,
        own_pins: folios,
        guessed: 0,
        folios,
        bytes: folios * PAGE,
        since_ns: 5,
        key: 1,
        squares,
    }
}

fn holdings(by_holder: &[(Holder, Holding)], shared: Vec<(SharedFolio, u64)>) -> Holdings {
    let of_shared = shared.iter().map(|(folio, count)| {
        let pins = folio.parts.iter().map(|(_, pins)| pins).sum::<u64>();
        pins * count
    });
    let pins = by_holder.iter().map(|(_, it)| it.own_pins).sum::<u64>() + of_shared.sum::<u64>();
    Holdings {
        by_holder: by_holder.iter().copied().collect(),
        shared: shared.into_iter().collect(),
        files: HashMap::default(),
        sums: Sums {
            pins,
            sampled_pins: pins,
            ..Sums::default()
        },
        ..Holdings::default()
    }
}

fn book(holdings: &Holdings, one_in: u64, pins: u64) -> Book {
    let directory = Directory::new(Registry::new(None));
    let suspects = Suspects::new(Duration::from_secs(1));
    let sources = Sources {
        holdings,
        directory: &directory,
        suspects: &suspects,
        one_in,
        pins,
    };
    Book::of(&sources, &|_| true)
}

const ANONYMOUS: u64 = 1;

#[test]
fn a_folio_that_two_rows_hold_is_divided_and_counted_once_in_all() {
    let huge = SharedFolio {
        parts: vec![(holder(0), 1), (holder(ANONYMOUS), 3)],
        bytes: 512 * PAGE,
    };
    let holdings = holdings(&[(holder(0), holding(2))], vec![(huge, 1)]);
    let book = book(&holdings, 1, holdings.sums.pins);
    let rows = book.rows(By::File);
    assert_eq!(rows.len(), 2);
    let row = |memory: &Memory| {
        let about = About::File(memory.clone());
        rows.iter().find(|it| it.about == about).unwrap()
    };
    let (unmapped, anonymous) = (row(&Memory::Unmapped), row(&Memory::Anonymous));
    assert_eq!(unmapped.bytes.value, (256 * PAGE + 2 * PAGE) as f64);
    assert_eq!(anonymous.bytes.value, (256 * PAGE) as f64);
    assert_eq!((unmapped.pins.value, anonymous.pins.value), (3.0, 3.0));
    // Whoever holds a part of it holds the folio.
    assert_eq!((unmapped.folios.value, anonymous.folios.value), (3.0, 1.0));
    assert_eq!(
        (book.folios.value, book.bytes.value),
        (3.0, (514 * PAGE) as f64)
    );
    // By process both are nobody's: one row, which has it whole.
    let whole = book.rows(By::Process);
    assert_eq!(whole.len(), 1);
    assert_eq!(whole[0].bytes.value, book.bytes.value);
    assert_eq!(whole[0].folios.value, 3.0);
}

#[test]
fn what_does_not_divide_evenly_adds_up_all_the_same() {
    let parts = vec![(holder(0), 1), (holder(ANONYMOUS), 1), (holder(8), 1)];
    let folio = SharedFolio { parts, bytes: PAGE };
    let holdings = holdings(&[], vec![(folio, 1000)]);
    let book = book(&holdings, 1, 3000);
    let rows = book.rows(By::File);
    assert_eq!(rows.len(), 3);
    let sum: f64 = rows.iter().map(|it| it.bytes.value).sum();
    assert_eq!(sum, (1000 * PAGE) as f64);
}

#[test]
fn most_memory_comes_first_whatever_the_pins() {
    let huge = Holding {
        bytes: 512 * PAGE,
        ..holding(1)
    };
    let holdings = holdings(
        &[(holder(0), holding(100)), (holder(ANONYMOUS), huge)],
        Vec::new(),
    );
    let book = book(&holdings, 1, 101);
    let first = &book.rows(By::File)[0];
    assert_eq!(first.about, About::File(Memory::Anonymous));
}

#[test]
fn a_sample_is_scaled_to_the_whole_in_pins_memory_and_folios() {
    let holdings = holdings(
        &[(holder(0), holding(100)), (holder(ANONYMOUS), holding(300))],
        Vec::new(),
    );
    let book = book(&holdings, 8, 3200);
    assert_eq!(book.folios.value, 3200.0);
    assert_eq!(book.bytes.value, (3200 * PAGE) as f64);
    let rows = book.rows(By::File);
    let pins: f64 = rows.iter().map(|it| it.pins.value).sum();
    assert_eq!(pins, 3200.0);
    assert_eq!(rows[1].folios.value, 800.0);
    assert!(rows[1].bytes.error > 0.0);
}

#[test]
fn who_is_not_shown_has_its_share_all_the_same() {
    let other = Holder {
        owner: 7,
        ..holder(0)
    };
    let folio = SharedFolio {
        parts: vec![(holder(ANONYMOUS), 1), (other, 1)],
        bytes: PAGE,
    };
    let holdings = holdings(&[], vec![(folio, 1)]);
    let directory = Directory::new(Registry::new(None));
    let suspects = Suspects::new(Duration::from_secs(1));
    let sources = Sources {
        holdings: &holdings,
        directory: &directory,
        suspects: &suspects,
        one_in: 1,
        pins: 2,
    };
    let book = Book::of(&sources, &|owner| owner == 7);
    let rows = book.rows(By::File);
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].bytes.value, (PAGE / 2) as f64);
}
