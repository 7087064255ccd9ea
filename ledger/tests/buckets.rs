//! Where the two buckets of a folio are.

mod common;

use std::sync::atomic::AtomicU64;

use common::{Book, page};
use ledger::{Releaser, Table as _, Totals, totals};
use probe_abi::folio_key;

#[test]
fn a_folio_whose_two_buckets_are_one_is_counted_once() {
    const FILE: u64 = 0x1000;
    let book = Book::<AtomicU64, 8>::new(4, &[Releaser::default(); 2]);
    let mut same = 0;
    for folio in 0..16 {
        let key = folio_key(page(folio));
        let [first, second] = (&book).buckets_of(key);
        same += u32::from(first == second);
        book.acquire(book.pins_of(folio, 1, 3, FILE));
        let mut seen = Totals::none(0);
        totals(&book, key, FILE, &mut seen);
        assert_eq!((seen.pins, seen.slots), (3, 1), "{folio}");
    }
    assert!(same > 0, "no folio of these has one bucket only");
}
