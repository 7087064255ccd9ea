//! Looks at both balances, one after the other, and what comes out.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn kernel(outstanding: u64) -> PinCounts {
    PinCounts {
        acquired: 1_000_000 + outstanding,
        released: 1_000_000,
    }
}

/// A look at rest, where nothing is old.
fn at_rest(ledger: u64, outstanding: u64) -> Look {
    Look {
        ledger,
        kernel: kernel(outstanding),
        ..Look::default()
    }
}

#[test]
fn what_was_pinned_before_is_no_difference_and_goes_with_its_releases() {
    let mut reconciler = Reconciler::default();
    let balance = reconciler.look(&at_rest(0, 64));
    assert_eq!((balance.preexisting, balance.difference), (64, 0));
    let balance = reconciler.look(&at_rest(10, 74));
    assert_eq!((balance.preexisting, balance.difference), (64, 0));
    let balance = reconciler.look(&Look {
        unmatched: 60,
        ..at_rest(10, 14)
    });
    assert_eq!((balance.preexisting, balance.difference), (4, 0));
}

#[test]
fn a_pin_that_stays_after_its_release_is_a_difference_until_it_is_taken_off() {
    let mut reconciler = Reconciler::default();
    reconciler.look(&at_rest(0, 0));
    assert_eq!(reconciler.look(&at_rest(18, 0)).difference, 18);
    assert_eq!(reconciler.look(&at_rest(0, 0)).difference, 0);
}

#[test]
fn a_pin_that_was_not_seen_is_a_difference_until_it_is_entered_or_released() {
    let mut reconciler = Reconciler::default();
    reconciler.look(&at_rest(0, 0));
    assert_eq!(reconciler.look(&at_rest(0, 5)).difference, -5);
    let entered = Look {
        entered: 5,
        ..at_rest(5, 5)
    };
    assert_eq!(reconciler.look(&entered).difference, 0);
    let mut other = Reconciler::default();
    other.look(&at_rest(0, 0));
    let released = Look {
        unmatched: 5,
        ..at_rest(0, 0)
    };
    assert_eq!(other.look(&released).difference, 0);
}

#[test]
fn what_was_missed_is_told_from_what_was_pinned_before() {
    let mut reconciler = Reconciler::default();
    assert_eq!(reconciler.look(&at_rest(0, 64)).preexisting, 64);
    assert_eq!(reconciler.look(&at_rest(0, 69)).difference, -5);
    // The five are found.
    let found = Look {
        entered: 5,
        ..at_rest(5, 69)
    };
    let balance = reconciler.look(&found);
    assert_eq!((balance.preexisting, balance.difference), (64, 0));
    // Released, and one of those from before as well.
    let released = Look {
        unmatched: 1,
        entered: 5,
        ..at_rest(0, 63)
    };
    let balance = reconciler.look(&released);
    assert_eq!((balance.preexisting, balance.difference), (63, 0));
}

#[test]
fn what_nobody_can_find_is_nobodys_once_that_is_settled() {
    let mut reconciler = Reconciler::default();
    reconciler.look(&at_rest(0, 0));
    assert_eq!(reconciler.look(&at_rest(0, 5)).difference, -5);
    reconciler.settle();
    let balance = reconciler.look(&at_rest(0, 5));
    assert_eq!((balance.preexisting, balance.difference), (5, 0));
    let released = Look {
        unmatched: 5,
        ..at_rest(0, 0)
    };
    let balance = reconciler.look(&released);
    assert_eq!((balance.preexisting, balance.difference), (0, 0));
}

#[test]
fn a_look_is_exact_when_nothing_moved() {
    let mut reconciler = Reconciler::default();
    assert!(reconciler.look(&at_rest(0, 0)).is_exact);
    let busy = Look {
        moved: [1, 2],
        ..at_rest(0, 0)
    };
    assert!(!reconciler.look(&busy).is_exact);
}

#[test]
fn what_moves_during_a_look_explains_as_much() {
    let mut reconciler = Reconciler::default();
    reconciler.look(&at_rest(0, 0));
    let busy = Look {
        moved: [100, 130],
        ..at_rest(40, 10)
    };
    assert_eq!(reconciler.look(&busy).difference, 0);
    let off = Look {
        moved: [100, 130],
        ..at_rest(50, 10)
    };
    for _ in 1..CONFIRMING_LOOKS {
        let balance = reconciler.look(&off);
        assert_eq!((balance.unconfirmed, balance.difference), (10, 0));
    }
    assert_eq!(reconciler.look(&off).difference, 10);
}

/// Seen on a busy host of two CPUs: one of three threads waits in the middle of a call, twice.
#[test]
fn who_waits_in_the_middle_of_a_call_at_two_looks_makes_no_difference() {
    let mut reconciler = Reconciler::default();
    reconciler.look(&at_rest(0, 0));
    for moved in [100, 200, 300] {
        let look = Look {
            moved: [moved - 4, moved],
            ..at_rest(0, 7)
        };
        let balance = reconciler.look(&look);
        assert_eq!((balance.difference, balance.unconfirmed), (0, -3));
    }
}

/// Seen on a host with less CPUs than it promised: seven pages are counted, and the call's CPU
/// stands still while five others go by.
#[test]
fn who_waits_for_a_cpu_in_the_middle_of_a_call_makes_no_difference() {
    let mut reconciler = Reconciler::default();
    reconciler.look(&at_rest(0, 0));
    let look = |ledger: u64, outstanding: u64, moved: u64| Look {
        moved: [moved - 5, moved],
        ..at_rest(ledger, outstanding)
    };
    let balance = reconciler.look(&look(0, 7, 100));
    assert_eq!((balance.difference, balance.unconfirmed), (0, -2));
    // At the next one it is another call's turn, which is seen released and is not yet.
    let balance = reconciler.look(&look(0, 0, 200));
    assert_eq!((balance.difference, balance.unconfirmed), (0, 0));
    let balance = reconciler.look(&look(7, 0, 300));
    assert_eq!((balance.difference, balance.unconfirmed), (0, 2));
    assert_eq!(reconciler.look(&look(0, 7, 400)).difference, 0);
}

#[test]
fn calls_that_are_asleep_explain_what_the_kernel_has_more() {
    let mut reconciler = Reconciler::default();
    reconciler.look(&at_rest(0, 0));
    let balance = reconciler.look(&Look {
        asleep: 64,
        ..at_rest(0, 16)
    });
    assert_eq!((balance.difference, balance.in_flight), (0, 16));
    // What the ledger has more they do not.
    let more = Look {
        asleep: 64,
        ..at_rest(16, 0)
    };
    for _ in 1..CONFIRMING_LOOKS {
        reconciler.look(&more);
    }
    let balance = reconciler.look(&more);
    assert_eq!((balance.difference, balance.in_flight), (16, 0));
}

/// As a service sees it: the kernel's count is a second old.
#[test]
fn an_old_count_is_compared_once_nothing_has_moved_for_so_long() {
    let mut reconciler = Reconciler::default();
    let look = |second: u32, ledger: u64, outstanding: u64, moved: u64| Look {
        at: SECOND * second,
        kernel_age: SECOND,
        moved: [moved, moved],
        ..at_rest(ledger, outstanding)
    };
    // Five pins are pending at the start, and come a moment later.
    assert_eq!(reconciler.look(&look(10, 5, 0, 5)).difference, 0);
    assert_eq!(reconciler.look(&look(11, 5, 5, 5)).difference, 0);
    let settled = reconciler.look(&look(13, 5, 5, 5));
    assert_eq!((settled.preexisting, settled.difference), (0, 0));
    // While it works the count lags; at rest it does not.
    assert_eq!(reconciler.look(&look(14, 205, 5, 205)).difference, 0);
    assert_eq!(reconciler.look(&look(15, 205, 205, 205)).difference, 0);
    assert_eq!(reconciler.look(&look(17, 205, 204, 205)).difference, 1);
}

/// On one CPU two threads of three are in the middle of something at each look.
#[test]
fn who_waits_for_a_cpu_at_the_start_had_nothing_pinned_before() {
    let mut reconciler = Reconciler::default();
    let look = |ledger: u64, outstanding: u64, moved: u64| Look {
        moved: [moved, moved],
        ..at_rest(ledger, outstanding)
    };
    // Four pages are counted, and their call has not returned.
    assert_eq!(reconciler.look(&look(0, 64 + 4, 14)).preexisting, 68);
    let balance = reconciler.look(&look(3, 64 + 3, 28));
    assert_eq!((balance.preexisting, balance.difference), (64, 0));
    // At rest it is certain: what the ledger has more from then on was never there.
    assert_eq!(reconciler.look(&look(0, 64, 31)).difference, 0);
    assert_eq!(reconciler.look(&look(0, 64, 31)).difference, 0);
    for look_at in 1..CONFIRMING_LOOKS as u64 {
        reconciler.look(&look(18, 64, 60 + look_at));
    }
    let balance = reconciler.look(&look(18, 64, 70));
    assert_eq!((balance.preexisting, balance.difference), (64, 18));
}

#[test]
fn a_start_under_load_leaves_no_difference_behind() {
    let mut reconciler = Reconciler::default();
    // The first look is off by what moved in it.
    let busy = Look {
        moved: [0, 50],
        ..at_rest(30, 9)
    };
    assert_eq!(reconciler.look(&busy).difference, 0);
    assert_eq!(reconciler.look(&at_rest(0, 0)).difference, 0);
    assert_eq!(reconciler.look(&at_rest(1, 0)).difference, 1);
}
