//! What the scoreboard counts, and what it cannot say.

use estimator::{
    Doubt, Estimator, Flags, Missing, Observations, Outcome, Pincount, Scoreboard, Truth, judge_all,
};

/// A page with one shared mapping and `pins` pins, of which the kernel's count says `bias`.
fn walk(pins: u32, bias: i32) -> Observations {
    Observations {
        mapcount_entry: Ok(1),
        pins_entry: Ok(pins),
        guped_since: Ok(pins > 0),
        gups_in_walk: Ok(0),
        found: Ok(1),
        zaps_in_walk: Ok(0),
        zaps_after_walk: Ok(0),
        mapcount_exit: Ok(1),
        pins_exit: Ok(pins),
        refcount: Ok(3 + bias),
        pincount: Ok(Pincount::Absent),
        nr_pages: Ok(1),
        private_refs: Ok(0),
        caller_refs: Ok(1),
        lost: false,
    }
}

fn board(walks: &[Observations]) -> Scoreboard {
    let mut board = Scoreboard::EMPTY;
    for seen in walks {
        board.record(&judge_all(Flags::CLEAR, seen).0);
    }
    board
}

#[test]
fn empty_board_has_no_precision_and_no_recall() {
    let tally = board(&[]).tally(Estimator::TwoWalk, Truth::Kernel);
    assert_eq!((tally.precision(), tally.recall()), (None, None));
}

#[test]
fn pin_that_the_kernel_cannot_see_counts_against_the_kernel_in_the_ledgers_eyes() {
    let board = board(&[walk(1, 0), walk(1, 1024), walk(0, 0), walk(0, 0)]);
    let kernel = board.tally(Estimator::Kernel, Truth::Ledger);
    assert_eq!((kernel.false_negative, kernel.recall()), (1, Some(0.5)));
    let two_walk = board.tally(Estimator::TwoWalk, Truth::Kernel);
    assert_eq!(
        (two_walk.false_positive, two_walk.precision()),
        (1, Some(0.5))
    );
    assert_eq!(
        board.tally(Estimator::TwoWalk, Truth::Ledger).precision(),
        Some(1.0)
    );
    let cell = board.count(
        Estimator::TwoWalk,
        Outcome::Pinned,
        Outcome::NotPinned,
        Outcome::Pinned,
    );
    assert_eq!(cell, 1);
}

#[test]
fn walk_after_a_loss_is_uncertain_and_no_error() {
    let lost = Observations {
        lost: true,
        ..walk(1, 1024)
    };
    let tally = board(&[lost]).tally(Estimator::TwoWalk, Truth::Kernel);
    assert_eq!((tally.uncertain, tally.false_negative), (1, 0));
    let unscored = board(&[lost]).tally(Estimator::Kernel, Truth::Ledger);
    assert_eq!(unscored.unscored, 1);
}

#[test]
fn doubts_of_an_estimator_add_up_to_its_uncertain_walks() {
    let lost = Observations {
        lost: true,
        ..walk(1, 1024)
    };
    let unread = Observations {
        found: Err(Missing::NoHook),
        ..walk(0, 0)
    };
    let board = board(&[lost, unread, unread, walk(0, 0)]);
    let doubted = |missing| board.doubted(Estimator::Simple, Doubt::Unseen(missing));
    assert_eq!((doubted(Missing::Lost), doubted(Missing::NoHook)), (1, 2));
    for estimator in Estimator::ALL {
        let doubts = Doubt::ALL
            .into_iter()
            .map(|it| board.doubted(estimator, it))
            .sum::<u64>();
        assert_eq!(doubts, board.tally(estimator, Truth::Kernel).uncertain);
    }
}
