//! What each estimator makes of captured walks whose answer is known by hand.
//!
//! Every test starts from one quiet walk of which everything is known, and changes one thing.

use estimator::{
    Answer, Ask, Doubt, Estimator, Flag, Missing, Observations, Pincount, Verdict, judge,
};

/// One shared mapping, found; nothing pinned, nothing raced.
const QUIET: Observations = Observations {
    mapcount_entry: Ok(1),
    pins_entry: Ok(0),
    guped_since: Ok(false),
    gups_in_walk: Ok(0),
    found: Ok(1),
    zaps_in_walk: Ok(0),
    zaps_after_walk: Ok(0),
    mapcount_exit: Ok(1),
    pins_exit: Ok(0),
    refcount: Ok(3),
    pincount: Ok(Pincount::Absent),
    nr_pages: Ok(1),
    private_refs: Ok(0),
    caller_refs: Ok(1),
    lost: false,
};

/// The same with one pin held from before.
const PINNED: Observations = Observations {
    pins_entry: Ok(1),
    pins_exit: Ok(1),
    refcount: Ok(1027),
    ..QUIET
};

const NOT_PINNED: (Verdict, Flag) = (Verdict::NotPinned, Flag::Clear);
const IS_PINNED: (Verdict, Flag) = (Verdict::Pinned, Flag::Set);

const MAPCOUNT: [Estimator; 5] = [
    Estimator::Simple,
    Estimator::TwoWalk,
    Estimator::TwoWalkFixed,
    Estimator::Ordered,
    Estimator::OrderedRecheck,
];

fn check(estimators: &[Estimator], flag: Flag, seen: Observations, expected: (Verdict, Flag)) {
    for &estimator in estimators {
        let judged = judge(estimator, flag, &seen);
        let name = estimator.name();
        assert_eq!(
            (judged.verdict, judged.flag_after),
            expected,
            "{name}: {judged:?}"
        );
    }
}

fn verdict(estimator: Estimator, flag: Flag, seen: Observations) -> Verdict {
    judge(estimator, flag, &seen).verdict
}

fn unseen(missing: Missing) -> Verdict {
    Verdict::Uncertain(Doubt::Unseen(missing))
}

#[test]
fn quiet_page_is_pinned_for_nobody() {
    check(&MAPCOUNT, Flag::Set, QUIET, NOT_PINNED);
    check(&MAPCOUNT, Flag::Clear, QUIET, NOT_PINNED);
    for estimator in Estimator::ALL {
        assert_eq!(verdict(estimator, Flag::Clear, QUIET), Verdict::NotPinned);
    }
}

#[test]
fn held_pin_is_seen_by_everybody_when_nothing_races() {
    check(&MAPCOUNT, Flag::Set, PINNED, IS_PINNED);
    for estimator in Estimator::ALL {
        assert_eq!(verdict(estimator, Flag::Set, PINNED), Verdict::Pinned);
    }
}

#[test]
fn gup_since_the_last_sample_sets_the_flag() {
    let seen = Observations {
        guped_since: Ok(true),
        ..PINNED
    };
    check(&MAPCOUNT, Flag::Clear, seen, IS_PINNED);
}

#[test]
fn zap_between_the_walk_and_the_second_read_hides_a_pin_from_those_that_read_late() {
    let seen = Observations {
        zaps_after_walk: Ok(1),
        mapcount_exit: Ok(0),
        ..PINNED
    };
    check(
        &[Estimator::Simple, Estimator::TwoWalk],
        Flag::Set,
        seen,
        NOT_PINNED,
    );
    check(
        &[
            Estimator::TwoWalkFixed,
            Estimator::Ordered,
            Estimator::OrderedRecheck,
        ],
        Flag::Set,
        seen,
        IS_PINNED,
    );
}

#[test]
fn gup_during_the_walk_is_lost_by_the_two_walks_and_kept_by_the_ordered_ones() {
    let seen = Observations {
        gups_in_walk: Ok(1),
        pins_exit: Ok(1),
        ..QUIET
    };
    check(
        &[Estimator::TwoWalk, Estimator::TwoWalkFixed],
        Flag::Clear,
        seen,
        NOT_PINNED,
    );
    check(
        &[Estimator::Ordered, Estimator::OrderedRecheck],
        Flag::Clear,
        seen,
        IS_PINNED,
    );
}

#[test]
fn private_mapping_is_a_pin_to_every_mapcount_estimator_and_to_no_other() {
    let seen = Observations {
        mapcount_entry: Ok(2),
        mapcount_exit: Ok(2),
        refcount: Ok(4),
        ..QUIET
    };
    check(&MAPCOUNT, Flag::Set, seen, IS_PINNED);
    for estimator in [
        Estimator::ExpectedRefs,
        Estimator::Kernel,
        Estimator::Ledger,
    ] {
        assert_eq!(verdict(estimator, Flag::Clear, seen), Verdict::NotPinned);
    }
}

#[test]
fn zap_before_the_walk_is_a_false_positive_that_only_the_recheck_avoids() {
    let zapped = Observations {
        found: Ok(0),
        zaps_in_walk: Ok(1),
        mapcount_exit: Ok(0),
        ..QUIET
    };
    check(&[Estimator::Ordered], Flag::Set, zapped, IS_PINNED);
    check(
        &[Estimator::OrderedRecheck, Estimator::TwoWalk],
        Flag::Set,
        zapped,
        NOT_PINNED,
    );
}

#[test]
fn zap_at_an_unknown_moment_of_the_walk_is_ambiguous_only_where_it_decides() {
    let seen = Observations {
        mapcount_entry: Ok(2),
        mapcount_exit: Ok(1),
        found: Ok(2),
        zaps_in_walk: Ok(1),
        ..PINNED
    };
    let ambiguous = Verdict::Uncertain(Doubt::Ambiguous);
    assert_eq!(verdict(Estimator::TwoWalkFixed, Flag::Set, seen), ambiguous);
    assert_eq!(
        verdict(Estimator::OrderedRecheck, Flag::Set, seen),
        ambiguous
    );
    assert_eq!(
        verdict(Estimator::Ordered, Flag::Set, seen),
        Verdict::Pinned
    );
    assert_eq!(
        verdict(Estimator::TwoWalk, Flag::Set, seen),
        Verdict::NotPinned
    );
}

#[test]
fn unknown_flag_matters_only_when_the_counts_differ() {
    check(&MAPCOUNT, Flag::Unknown, QUIET, NOT_PINNED);
    let judged = judge(Estimator::TwoWalk, Flag::Unknown, &PINNED);
    assert_eq!(judged.verdict, unseen(Missing::NotInLedger));
    assert_eq!(judged.flag_after, Flag::Unknown);
    // `simple` does not look at the flag.
    assert_eq!(
        verdict(Estimator::Simple, Flag::Unknown, PINNED),
        Verdict::Pinned
    );
}

#[test]
fn loss_makes_everything_that_counts_pins_uncertain_and_nothing_else() {
    let seen = Observations {
        lost: true,
        ..QUIET
    };
    for estimator in MAPCOUNT.into_iter().chain([Estimator::Ledger]) {
        assert_eq!(verdict(estimator, Flag::Clear, seen), unseen(Missing::Lost));
    }
    for estimator in [Estimator::ExpectedRefs, Estimator::Kernel] {
        assert_eq!(verdict(estimator, Flag::Clear, seen), Verdict::NotPinned);
    }
    assert_eq!(
        judge(Estimator::TwoWalk, Flag::Clear, &seen).flag_after,
        Flag::Unknown
    );
    assert_eq!(
        judge(Estimator::TwoWalk, Flag::Set, &seen).flag_after,
        Flag::Set
    );
}

#[test]
fn uncaptured_sample_is_uncertain_for_everybody_and_clears_no_flag() {
    for estimator in Estimator::ALL {
        let judged = judge(estimator, Flag::Set, &Observations::NOTHING);
        assert_eq!(judged.verdict, unseen(Missing::NotCaptured));
        assert_eq!(judged.flag_after, Flag::Set);
    }
}

#[test]
fn more_entries_than_counted_is_a_contradiction_not_a_verdict() {
    let seen = Observations {
        found: Ok(2),
        ..QUIET
    };
    for estimator in [
        Estimator::TwoWalk,
        Estimator::TwoWalkFixed,
        Estimator::Ordered,
    ] {
        let judged = judge(estimator, Flag::Set, &seen);
        assert_eq!(judged.verdict, Verdict::Uncertain(Doubt::Contradiction));
        assert_eq!(judged.flag_after, Flag::Set);
    }
}

#[test]
fn kernel_answers_like_folio_maybe_dma_pinned() {
    for (pincount, refcount, expected) in [
        (Pincount::Absent, 1023, Verdict::NotPinned),
        (Pincount::Absent, 1024, Verdict::Pinned),
        // The kernel compares as unsigned, so a count that overflowed stays pinned.
        (Pincount::Absent, -1, Verdict::Pinned),
        (Pincount::Exact(0), 5000, Verdict::NotPinned),
        (Pincount::Exact(1), 4, Verdict::Pinned),
        (Pincount::Exact(-1), 4, Verdict::NotPinned),
    ] {
        let seen = Observations {
            pincount: Ok(pincount),
            refcount: Ok(refcount),
            ..QUIET
        };
        assert_eq!(
            verdict(Estimator::Kernel, Flag::Clear, seen),
            expected,
            "{seen:?}"
        );
    }
}

#[test]
fn exact_pincount_needs_no_reference_count() {
    let seen = Observations {
        pincount: Ok(Pincount::Exact(1)),
        refcount: Err(Missing::Unreadable),
        ..QUIET
    };
    assert_eq!(
        verdict(Estimator::Kernel, Flag::Clear, seen),
        Verdict::Pinned
    );
}

#[test]
fn single_unexplained_reference_is_a_pin_to_expected_refs_only() {
    let seen = Observations {
        refcount: Ok(4),
        ..QUIET
    };
    assert_eq!(
        verdict(Estimator::ExpectedRefs, Flag::Clear, seen),
        Verdict::Pinned
    );
    assert_eq!(
        verdict(Estimator::Kernel, Flag::Clear, seen),
        Verdict::NotPinned
    );
    let explained = Observations {
        private_refs: Ok(1),
        ..seen
    };
    assert_eq!(
        verdict(Estimator::ExpectedRefs, Flag::Clear, explained),
        Verdict::NotPinned
    );
}

#[test]
fn steps_tell_what_was_asked_and_what_was_answered() {
    let judged = judge(Estimator::TwoWalk, Flag::Set, &PINNED);
    let steps: Vec<_> = judged
        .steps
        .as_slice()
        .iter()
        .map(|it| (it.ask, it.answer))
        .collect();
    let expected = [
        (Ask::Count, Answer::Number(2)),
        (Ask::Walk, Answer::Number(1)),
        (Ask::ReadFlag, Answer::Flag(true)),
        (Ask::Count, Answer::Number(2)),
    ];
    assert_eq!(steps, expected);
}
