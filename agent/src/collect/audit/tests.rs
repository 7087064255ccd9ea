//! The audit, folio by folio: what it takes off, what it adds, and when it waits for a second look.

use probe_abi::{Kind, SlotNote};

use super::*;

const BITS: FlagBits = FlagBits {
    private: 14,
    swap_cache: 10,
};
const KEY: u64 = 77;
const FILE: u64 = 0xffff_8880_0000_1000;
const ANON: u64 = 0xffff_8880_0000_2001;

fn slot(owner: u16, kind: Kind, count: u64, since_ns: u64) -> Slot {
    Slot {
        bucket: 3,
        slot: u32::from(owner),
        word: Word(Word::empty(KEY, kind).0 + count),
        note: SlotNote {
            since_ns,
            mapping: FILE,
            owner,
            gups: 5,
            ..SlotNote::default()
        },
    }
}

fn small(refcount: u32, mapcount: u32, mapping: u64) -> Folio {
    Folio {
        key: KEY,
        refcount,
        mapcount,
        mapping,
        pages: 1,
        state: Folio::SMALL,
        ..Folio::default()
    }
}

fn large(pincount: u32) -> Folio {
    Folio {
        pincount,
        pages: 512,
        state: Folio::LARGE,
        ..small(600, 512, ANON)
    }
}

fn around(has_ended: &dyn Fn(u32) -> bool) -> Around<'_> {
    Around {
        has_ended,
        may_come: false,
        complete_from: 0,
        bits: BITS,
    }
}

/// What is done at each of so many looks at the same thing.
fn looks(n: usize, folio: &Folio, slots: &[Slot]) -> Vec<Vec<(u32, u64, u32)>> {
    let lacking = Off {
        lacking: u64::MAX,
        ..Off::default()
    };
    looks_at(n, lacking, folio, slots)
}

/// The same where the totals are off so much.
fn looks_at(n: usize, off: Off, folio: &Folio, slots: &[Slot]) -> Vec<Vec<(u32, u64, u32)>> {
    let mut audit = Audit::default();
    audit.begin(off);
    let done = |it: &Repair| (it.amendment.kind, it.amendment.n, it.amendment.owner);
    (0..n)
        .map(|_| {
            let repairs = audit.compare(folio, slots, slots, around(&|owner| owner == 9));
            repairs.iter().map(done).collect()
        })
        .collect()
}

#[test]
fn what_the_kernel_holds_is_left_alone() {
    for (folio, pins) in [
        (small(1024 + 2, 1, FILE), 1),
        (small(3 * 1024 + 3, 2, FILE), 3),
        (small(1024 + 1, 1, ANON), 1),
        (large(7), 7),
    ] {
        let slots = [slot(1, Kind::Pin, pins, 10)];
        assert_eq!(looks(4, &folio, &slots), vec![Vec::new(); 4], "{folio:?}");
    }
}

#[test]
fn a_release_that_was_not_seen_is_written_off_at_the_second_look() {
    let slots = [slot(1, Kind::Pin, 3, 10)];
    let off = vec![(Amendment::WRITE_OFF, 2, 1)];
    let folio = small(1024 + 2, 1, FILE);
    assert_eq!(looks(2, &folio, &slots), [vec![], off.clone()]);
    assert_eq!(looks(2, &large(1), &slots), [vec![], off]);
}

#[test]
fn a_folio_that_is_part_of_another_one_now_holds_nothing() {
    let tail = Folio {
        state: Folio::TAIL,
        ..small(1, 0, 0)
    };
    let slots = [slot(1, Kind::Pin, 3, 10)];
    let off = vec![(Amendment::WRITE_OFF, 3, 1)];
    assert_eq!(looks(2, &tail, &slots), [vec![], off]);
}

#[test]
fn who_has_ended_is_taken_from_first_and_then_who_pinned_last() {
    let slots = [
        slot(1, Kind::Pin, 1, 10),
        slot(2, Kind::Pin, 1, 30),
        slot(9, Kind::Pin, 1, 20),
    ];
    let folio = small(1024 + 2, 1, FILE);
    let off = vec![
        (Amendment::WRITE_OFF, 1, 9),
        (Amendment::WRITE_OFF, 1, 2),
        // It may have been this one's.
        (Amendment::MARK_GUESS, 0, 1),
    ];
    assert_eq!(looks(2, &folio, &slots), [vec![], off]);
}

#[test]
fn what_is_left_is_a_guess_where_another_one_s_may_have_gone() {
    let guess = |owner| (Amendment::MARK_GUESS, 0, owner);
    let off = |n, owner| (Amendment::WRITE_OFF, n, owner);
    // Of equals both are in doubt, and what one owner has on two slots is not.
    let slots = [slot(1, Kind::Pin, 2, 10), slot(2, Kind::Pin, 3, 30)];
    let folio = small(1024 * 3 + 2, 1, FILE);
    let told = vec![off(2, 2), guess(2), guess(1)];
    assert_eq!(looks(2, &folio, &slots), [vec![], told]);
    let slots = [slot(1, Kind::Pin, 2, 10), slot(1, Kind::Pin, 3, 30)];
    assert_eq!(looks(2, &folio, &slots), [vec![], vec![off(2, 1)]]);
    // It was the one that has ended, as long as that has enough.
    let slots = [slot(1, Kind::Pin, 2, 10), slot(9, Kind::Pin, 3, 5)];
    assert_eq!(looks(2, &folio, &slots), [vec![], vec![off(2, 9)]]);
}

#[test]
fn a_page_that_1200_processes_map_is_not_pinned_by_that() {
    let folio = small(1_201, 1_200, FILE);
    let slots = [slot(1, Kind::Pin, 1, 10)];
    let off = vec![(Amendment::WRITE_OFF, 1, 1)];
    assert_eq!(looks(2, &folio, &slots), [vec![], off]);
    let pinned = small(1_201 + 1024, 1_200, FILE);
    assert_eq!(looks(2, &pinned, &slots), [vec![], vec![]]);
}

#[test]
fn references_that_come_and_go_are_no_pins() {
    // 400 readers hold a reference for a moment.
    let folio = small(1024 + 402, 1, FILE);
    let slots = [slot(1, Kind::Pin, 1, 10)];
    assert_eq!(looks(4, &folio, &slots), vec![Vec::new(); 4]);
}

#[test]
fn references_that_the_ledger_knows_are_no_pins() {
    let folio = small(2_002, 1, FILE);
    let slots = [slot(1, Kind::Get, 2_000, 10)];
    assert_eq!(looks(2, &folio, &slots), vec![Vec::new(); 2]);
}

#[test]
fn plain_references_that_the_count_has_no_room_for_are_gone() {
    let folio = small(4, 1, FILE);
    let slots = [slot(1, Kind::Get, 65, 10)];
    let off = vec![(Amendment::WRITE_OFF, 63, 1)];
    assert_eq!(looks(2, &folio, &slots), [vec![], off]);
}

#[test]
fn plain_references_that_are_gone_take_no_pin_with_them() {
    // By the hundred, and not one of them is there any more.
    let slots = [slot(1, Kind::Pin, 1, 10), slot(2, Kind::Get, 700, 10)];
    let off = vec![(Amendment::WRITE_OFF, 700, 2)];
    assert_eq!(looks(2, &small(1024 + 2, 1, FILE), &slots), [vec![], off]);
}

#[test]
fn what_is_a_pin_or_a_thousand_references_is_told_by_the_kernel_s_total() {
    let slots = [slot(1, Kind::Pin, 1, 10), slot(2, Kind::Get, 700, 10)];
    let folio = small(700 + 2, 1, FILE);
    let off = |stays| Off {
        too_many: 1,
        stays,
        ..Off::default()
    };
    let gone = |n, owner| vec![vec![], vec![(Amendment::WRITE_OFF, n, owner)]];
    assert_eq!(looks_at(2, off(false), &folio, &slots), vec![Vec::new(); 2]);
    assert_eq!(looks_at(2, off(true), &folio, &slots), gone(1, 1));
    assert_eq!(looks_at(2, Off::default(), &folio, &slots), gone(700, 2));
}

#[test]
fn no_more_is_entered_than_the_kernel_s_total_has() {
    let slots = [slot(1, Kind::Pin, 1, 10)];
    let off = |lacking| Off {
        lacking,
        ..Off::default()
    };
    // 1,100 references that nobody knows of, or a pin.
    let folio = small(2 * 1024 + 76 + 1, 1, ANON);
    assert_eq!(looks_at(3, off(0), &folio, &slots), vec![Vec::new(); 3]);
    let entered = vec![(Amendment::ENTER, 1, 0)];
    assert_eq!(
        looks_at(3, off(1), &folio, &slots),
        [vec![], vec![], entered.clone()]
    );
    // Of 600 it is none, and a large folio has a count of its own.
    let folio = small(1024 + 600 + 1, 1, ANON);
    assert_eq!(looks(3, &folio, &slots), vec![Vec::new(); 3]);
    assert_eq!(
        looks_at(3, off(0), &large(2), &slots),
        [vec![], vec![], entered]
    );
}

#[test]
fn the_swap_cache_and_private_data_explain_a_reference() {
    let folio = Folio {
        flags: 1 << BITS.swap_cache,
        ..small(1024 + 2, 1, ANON)
    };
    let gets = [slot(1, Kind::Pin, 1, 10)];
    assert_eq!(looks(2, &folio, &gets), vec![Vec::new(); 2]);
    let with_private = Folio {
        flags: 1 << BITS.private,
        ..small(3, 1, FILE)
    };
    let slots = [slot(1, Kind::Get, 1, 10)];
    let off = vec![(Amendment::WRITE_OFF, 1, 1)];
    assert_eq!(looks(2, &with_private, &slots), [vec![], off]);
}

#[test]
fn pins_that_were_not_seen_are_entered_once_the_folio_rests() {
    let folio = small(3 * 1024 + 2, 1, FILE);
    let slots = [slot(1, Kind::Pin, 1, 10)];
    let entered = vec![(Amendment::ENTER, 2, 0)];
    assert_eq!(looks(3, &folio, &slots), [vec![], vec![], entered]);
}

#[test]
fn pins_on_their_way_in_or_passed_over_are_not_entered() {
    let folio = small(3 * 1024 + 2, 1, FILE);
    let slots = [slot(1, Kind::Pin, 1, 10)];
    let mut audit = Audit::default();
    let none = |_| false;
    let asleep = Around {
        may_come: true,
        ..around(&none)
    };
    let sampled = Around {
        complete_from: probe_abi::STRATA,
        ..around(&none)
    };
    for around in [asleep, sampled] {
        for _ in 0..9 {
            assert_eq!(audit.compare(&folio, &slots, &slots, around), []);
        }
    }
    // A folio that is pinned again and again is never the same.
    for gups in 0..9 {
        let mut moved = slots;
        moved[0].note.gups += gups;
        assert_eq!(audit.compare(&folio, &moved, &moved, around(&none)), []);
    }
}

#[test]
fn what_changed_while_the_kernel_was_asked_is_not_compared() {
    let folio = small(2, 1, FILE);
    let before = [slot(1, Kind::Pin, 1, 10)];
    let mut after = before;
    after[0].note.gups += 1;
    let mut audit = Audit::default();
    for _ in 0..9 {
        let repairs = audit.compare(&folio, &before, &after, around(&|_| false));
        assert_eq!(repairs, []);
    }
}

#[test]
fn a_tombstone_of_another_file_goes_at_once() {
    let mut slots = [slot(1, Kind::Pin, 0, 10)];
    assert_eq!(looks(1, &small(2, 1, FILE), &slots), [vec![]]);
    slots[0].note.mapping = FILE + 0x1000;
    let gone = vec![(Amendment::FORGET, 0, 1)];
    assert_eq!(looks(1, &small(2, 1, FILE), &slots), [gone]);
}

#[test]
fn what_cannot_be_read_is_not_judged() {
    let unreadable = Folio {
        state: Folio::UNREADABLE,
        ..small(0, 0, 0)
    };
    let slots = [slot(1, Kind::Pin, 1, 10)];
    assert_eq!(looks(4, &unreadable, &slots), vec![Vec::new(); 4]);
}
