//! Walks in a row, and what the judge makes of them.

use estimator::Outcome;

use super::*;

const INPUTS: Inputs = Inputs {
    ptes: true,
    zaps: true,
};

/// One small file folio, mapped once, nothing pinned, walked cleanly.
fn quiet() -> MkcleanSample {
    MkcleanSample {
        folio: 0xffff_ea00_0000_1000,
        mapping: 0xffff_8880_0000_1000,
        mapcount_entry: 1,
        mapcount_exit: 1,
        ptes_found: 1,
        refcount: 3,
        pages: 1,
        flags: SampleFlags::GUPED
            | SampleFlags::MAPCOUNT_KNOWN
            | SampleFlags::PTES_KNOWN
            | SampleFlags::ZAPS_KNOWN
            | SampleFlags::TRUTH_KNOWN
            | SampleFlags::CACHED,
        ..MkcleanSample::default()
    }
}

fn pinned() -> MkcleanSample {
    MkcleanSample {
        pins_entry: 1,
        pins_exit: 1,
        refcount: 3 + 1024,
        gups_entry: 1,
        ..quiet()
    }
}

fn check(samples: &[MkcleanSample], estimator: Estimator, expected: &[Outcome]) {
    let mut judge = Judge::new(16, INPUTS);
    let outcomes: Vec<Outcome> = samples
        .iter()
        .map(|it| judge.judge(it)[estimator as usize].verdict.outcome())
        .collect();
    assert_eq!(outcomes, expected, "{}", estimator.name());
}

#[test]
fn a_pin_held_across_walks_is_seen_by_every_estimator_each_time() {
    for estimator in [Estimator::TwoWalk, Estimator::Kernel, Estimator::Ledger] {
        check(&[pinned(), pinned()], estimator, &[Outcome::Pinned; 2]);
    }
}

#[test]
fn a_released_pin_is_not_pinned_at_the_next_walk() {
    check(
        &[pinned(), quiet()],
        Estimator::TwoWalk,
        &[Outcome::Pinned, Outcome::NotPinned],
    );
}

#[test]
fn without_the_hook_that_counts_entries_two_walk_is_uncertain() {
    let mut judge = Judge::new(
        16,
        Inputs {
            ptes: false,
            zaps: true,
        },
    );
    let judged = judge.judge(&pinned());
    let outcome = |it: Estimator| judged[it as usize].verdict.outcome();
    assert_eq!(outcome(Estimator::TwoWalk), Outcome::Uncertain);
    assert_eq!(outcome(Estimator::Kernel), Outcome::Pinned);
}

#[test]
fn more_plain_references_than_the_count_has_room_for_are_uncertain() {
    let stale = MkcleanSample {
        gets_entry: 5,
        gets_exit: 5,
        gups_entry: 5,
        ..quiet()
    };
    check(&[stale], Estimator::TwoWalk, &[Outcome::Uncertain]);
}

#[test]
fn another_file_in_the_same_frame_starts_with_a_clear_flag() {
    let mut judge = Judge::new(16, INPUTS);
    judge.judge(&pinned());
    let other = MkcleanSample {
        mapping: 0xffff_8880_0000_2000,
        flags: quiet().flags & !SampleFlags::GUPED,
        mapcount_entry: 2,
        mapcount_exit: 2,
        ..quiet()
    };
    let judged = judge.judge(&other);
    let two_walk = judged[Estimator::TwoWalk as usize].verdict.outcome();
    assert_eq!(two_walk, Outcome::NotPinned);
}

#[test]
fn memory_for_flags_is_bounded() {
    let mut judge = Judge::new(16, INPUTS);
    for folio in 0..1000 {
        judge.judge(&MkcleanSample {
            folio: folio * 64,
            ..pinned()
        });
    }
    assert!(judge.folios.len() <= 16);
    assert!(judge.forgotten > 0);
}

#[test]
fn after_lost_samples_a_flag_is_in_doubt_until_a_walk_settles_it() {
    let mut judge = Judge::new(16, INPUTS);
    judge.judge(&pinned());
    judge.lose(Losses {
        samples: 1,
        ..Losses::default()
    });
    let outcome = |judged: [Judgement; Estimator::COUNT]| {
        judged[Estimator::TwoWalk as usize].verdict.outcome()
    };
    assert_eq!(outcome(judge.judge(&pinned())), Outcome::Uncertain);
    let free = MkcleanSample {
        gups_entry: 1,
        ..quiet()
    };
    assert_eq!(outcome(judge.judge(&free)), Outcome::NotPinned);
    let again = MkcleanSample {
        gups_entry: 2,
        ..pinned()
    };
    assert_eq!(outcome(judge.judge(&again)), Outcome::Pinned);
}

#[test]
fn a_false_negative_by_a_zap_is_put_down_to_it_and_the_next_one_to_the_flag_lost_then() {
    let zapped = MkcleanSample {
        mapcount_exit: 0,
        zaps: 1,
        ..pinned()
    };
    let unmapped = MkcleanSample {
        mapcount_entry: 1,
        ptes_found: 1,
        ..pinned()
    };
    let mut judge = Judge::new(16, INPUTS);
    judge.judge(&zapped);
    judge.judge(&unmapped);
    let count = |race| {
        judge
            .errors
            .count(Estimator::TwoWalk, WrongVerdict::FalseNegative, race)
    };
    assert_eq!((count(Race::Zap), count(Race::Again)), (1, 1));
}

#[test]
fn the_age_of_a_false_positive_ends_with_the_walk_that_heals_it() {
    // Found fewer entries than the count, with nothing pinned any more.
    let false_positive = MkcleanSample {
        at_ns: 5,
        mapcount_entry: 2,
        mapcount_exit: 2,
        gups_entry: 1,
        ..quiet()
    };
    let healed = MkcleanSample {
        at_ns: 2_000_005,
        gups_entry: 1,
        ..quiet()
    };
    let mut judge = Judge::new(16, INPUTS);
    judge.judge(&false_positive);
    assert_eq!(judge.findings().ended(Estimator::TwoWalk).open, 1);
    judge.judge(&healed);
    let findings = judge.findings();
    let ended = findings.ended(Estimator::TwoWalk);
    assert_eq!((ended.open, ended.healed.count()), (0, 1));
    assert_eq!(ended.healed.sum_seconds(), 0.002);
}

#[test]
fn a_reference_counted_before_its_gup_is_noted_sets_the_flag_that_ordered_took() {
    let sample = MkcleanSample {
        gups: 0,
        pins_entry: 0,
        gups_entry: 1,
        ..pinned()
    };
    check(&[sample], Estimator::Ordered, &[Outcome::Pinned]);
}

proptest::proptest! {
    #[test]
    fn samples_in_any_order_of_time_never_turn_it_back(
        walks in proptest::collection::vec((0u64..4, 0u64..1_000, 0u32..3, 0u32..3, 0u32..2), 0..64),
    ) {
        let mut judge = Judge::new(2, INPUTS);
        let latest = walks.iter().map(|(_, at_ns, ..)| *at_ns).max().unwrap_or(0);
        for (folio, at_ns, ptes_found, gups_entry, pins) in walks {
            judge.judge(&MkcleanSample {
                folio: folio * 64,
                at_ns,
                ptes_found,
                gups_entry,
                pins_entry: pins,
                pins_exit: pins,
                refcount: 3 + 1024 * pins,
                ..quiet()
            });
        }
        for estimator in Estimator::ALL {
            let healed = &judge.findings().ended(estimator).healed.clone();
            // A negative age would have wrapped round to centuries.
            let most = healed.count() as f64 * latest as f64 / 1e9;
            proptest::prop_assert!(healed.sum_seconds() <= most + 1e-9);
        }
    }
}

#[test]
fn a_pin_that_the_kernel_does_not_hold_is_no_verdict_of_anybody() {
    let missed = MkcleanSample {
        refcount: 3,
        ..pinned()
    };
    assert!(contradicts(&missed) && !contradicts(&pinned()));
    let mut judge = Judge::new(16, INPUTS);
    let judged = judge.judge(&missed);
    let ledger = judged[Estimator::Ledger as usize].verdict.outcome();
    assert_eq!(ledger, Outcome::Uncertain);
    let errors = judge.findings().errors;
    for estimator in Estimator::ALL {
        for error in WrongVerdict::ALL {
            let wrong = Race::ALL.map(|race| errors.count(estimator, error, race));
            assert_eq!(wrong.iter().sum::<u64>(), 0, "{}", estimator.name());
        }
    }
}

#[test]
fn many_mappings_are_no_pins_and_few_pins_are_not_too_many() {
    let mapped = MkcleanSample {
        mapcount_exit: 1200,
        refcount: 1202,
        ..pinned()
    };
    assert!(contradicts(&mapped));
    let mapped = MkcleanSample {
        refcount: 1202 + 1024,
        ..mapped
    };
    assert!(!contradicts(&mapped));
}

#[test]
fn a_pin_that_the_ledger_has_not_is_told_from_mappings() {
    let unseen = MkcleanSample {
        pins_exit: 0,
        mapcount_exit: 1200,
        refcount: 1202,
        ..pinned()
    };
    assert!(!lacks_pins(&unseen) && !lacks_pins(&pinned()));
    let unseen = MkcleanSample {
        refcount: 1202 + 1024,
        ..unseen
    };
    assert!(lacks_pins(&unseen));
}

/// Two-walk's verdict on a pinned folio that the judge does not remember, which the ledger has known
/// since `opened`, after a sample was lost at `lost`.
fn after_a_loss(opened: u32, lost: u32) -> Outcome {
    let mut judge = Judge::new(16, INPUTS);
    judge.lose(Losses {
        samples: 1,
        at: lost,
        ..Losses::default()
    });
    let sample = MkcleanSample {
        opened,
        gups_entry: 7,
        ..pinned()
    };
    judge.judge(&sample)[Estimator::TwoWalk as usize]
        .verdict
        .outcome()
}

#[test]
fn walks_that_were_not_seen_are_a_doubt_as_lost_samples_are() {
    let mut judge = Judge::new(16, INPUTS);
    judge.judge(&pinned());
    judge.lose(Losses {
        pauses: 1,
        at: 101,
        ..Losses::default()
    });
    for (opened, expected) in [(99, Outcome::Uncertain), (103, Outcome::Pinned)] {
        let sample = MkcleanSample {
            folio: u64::from(opened) << 6,
            opened,
            gups_entry: 7,
            ..pinned()
        };
        let judged = judge.judge(&sample)[Estimator::TwoWalk as usize];
        assert_eq!(judged.verdict.outcome(), expected, "{opened}");
    }
}

#[test]
fn a_lost_sample_is_a_doubt_about_what_the_ledger_knew_by_then_only() {
    for (opened, lost, expected) in [
        (101, 101, Outcome::Uncertain),
        (99, 101, Outcome::Uncertain),
        (103, 101, Outcome::Pinned),
        // The clock wraps.
        (1, u32::MAX, Outcome::Pinned),
        (u32::MAX, 1, Outcome::Uncertain),
        // What is not known is no excuse.
        (0, 101, Outcome::Uncertain),
        (103, 0, Outcome::Uncertain),
    ] {
        assert_eq!(after_a_loss(opened, lost), expected, "{opened} {lost}");
    }
}
