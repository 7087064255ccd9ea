//! What holds for every sample and every sequence of answers.

use estimator::{
    Answer, Ask, Estimator, Flag, Flags, MAX_STEPS, Machine, Missing, Next, Observations, Outcome,
    Pincount, Scoreboard, Seen, Tally, Truth, judge, judge_all,
};
use proptest::prelude::*;

fn missing() -> impl Strategy<Value = Missing> {
    prop::sample::select(Missing::ALL.to_vec())
}

/// Small numbers, where comparisons turn over, and huge ones, where sums overflow.
fn number() -> impl Strategy<Value = u32> {
    prop_oneof![8 => 0_u32..5, 1 => any::<u32>()]
}

fn seen<T: std::fmt::Debug + Clone>(
    known: impl Strategy<Value = T>,
) -> impl Strategy<Value = Seen<T>> {
    prop_oneof![9 => known.prop_map(Ok), 1 => missing().prop_map(Err)]
}

fn pincount() -> impl Strategy<Value = Pincount> {
    prop_oneof![
        Just(Pincount::Absent),
        (-2_i32..3).prop_map(Pincount::Exact)
    ]
}

prop_compose! {
    fn before_exit()(
        mapcount_entry in seen(number()),
        pins_entry in seen(number()),
        guped_since in seen(any::<bool>()),
        gups_in_walk in seen(0_u32..2),
        found in seen(number()),
        zaps_in_walk in seen(number()),
        zaps_after_walk in seen(number()),
    ) -> Observations {
        Observations {
            mapcount_entry, pins_entry, guped_since, gups_in_walk, found, zaps_in_walk,
            zaps_after_walk, ..Observations::NOTHING
        }
    }
}

prop_compose! {
    fn sample()(
        before in before_exit(),
        mapcount_exit in seen(number()),
        pins_exit in seen(number()),
        refcount in seen(prop_oneof![0_i32..8, 1020_i32..1030, any::<i32>()]),
        pincount in seen(pincount()),
        nr_pages in seen(number()),
        private_refs in seen(0_u32..2),
        caller_refs in seen(0_u32..2),
        lost in prop::bool::weighted(0.1),
    ) -> Observations {
        Observations {
            mapcount_exit, pins_exit, refcount, pincount, nr_pages, private_refs, caller_refs,
            lost, ..before
        }
    }
}

fn flag() -> impl Strategy<Value = Flag> {
    prop::sample::select(vec![Flag::Clear, Flag::Set, Flag::Unknown])
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        any::<bool>().prop_map(Answer::Flag),
        number().prop_map(Answer::Number),
        any::<i32>().prop_map(Answer::Refcount),
        pincount().prop_map(Answer::Pincount),
        Just(Answer::Done),
        missing().prop_map(Answer::Unknown),
    ]
}

/// Takes one observation away.
fn hide(field: usize, why: Missing, seen: Observations) -> Observations {
    let mut hidden = seen;
    match field {
        0 => hidden.mapcount_entry = Err(why),
        1 => hidden.pins_entry = Err(why),
        2 => hidden.guped_since = Err(why),
        3 => hidden.gups_in_walk = Err(why),
        4 => hidden.found = Err(why),
        5 => hidden.zaps_in_walk = Err(why),
        6 => hidden.zaps_after_walk = Err(why),
        7 => hidden.mapcount_exit = Err(why),
        8 => hidden.pins_exit = Err(why),
        9 => hidden.refcount = Err(why),
        10 => hidden.pincount = Err(why),
        11 => hidden.nr_pages = Err(why),
        12 => hidden.private_refs = Err(why),
        13 => hidden.caller_refs = Err(why),
        _ => hidden.lost = true,
    }
    hidden
}

/// What each estimator cannot do without, whatever the rest says.
fn needs(estimator: Estimator, seen: &Observations) -> bool {
    let walk = seen.found.is_ok();
    match estimator {
        Estimator::Simple => walk && seen.count_exit().is_ok(),
        Estimator::TwoWalk
        | Estimator::TwoWalkFixed
        | Estimator::Ordered
        | Estimator::OrderedRecheck => walk && seen.count_entry().is_ok(),
        Estimator::ExpectedRefs => seen.refcount.is_ok() && seen.explained().is_ok(),
        Estimator::Kernel => match seen.pincount {
            Ok(Pincount::Exact(_)) => true,
            Ok(Pincount::Absent) => seen.refcount.is_ok(),
            Err(_) => false,
        },
        Estimator::Ledger => seen.pins().is_ok(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]

    #[test]
    fn no_verdict_is_given_without_its_observations(flag in flag(), seen in sample()) {
        for estimator in Estimator::ALL {
            if judge(estimator, flag, &seen).verdict.outcome() != Outcome::Uncertain {
                prop_assert!(needs(estimator, &seen), "{}: {seen:?}", estimator.name());
            }
        }
    }

    #[test]
    fn hiding_an_observation_never_turns_a_verdict_over(
        flag in flag(), seen in sample(), field in 0_usize..15, why in missing(),
    ) {
        let hidden = hide(field, why, seen);
        for estimator in Estimator::ALL {
            let full = judge(estimator, flag, &seen).verdict.outcome();
            let less = judge(estimator, flag, &hidden).verdict.outcome();
            prop_assert!(less == full || less == Outcome::Uncertain, "{}", estimator.name());
        }
    }

    #[test]
    fn forgetting_the_flag_never_turns_a_verdict_over(known in any::<bool>(), seen in sample()) {
        let flag = if known { Flag::Set } else { Flag::Clear };
        for estimator in Estimator::ALL {
            let full = judge(estimator, flag, &seen).verdict.outcome();
            let less = judge(estimator, Flag::Unknown, &seen).verdict.outcome();
            prop_assert!(less == full || less == Outcome::Uncertain, "{}", estimator.name());
        }
    }

    #[test]
    fn flag_after_a_walk_says_what_the_verdict_says(flag in flag(), seen in sample()) {
        for estimator in Estimator::ALL.into_iter().filter(|it| it.uses_mapcount()) {
            let judged = judge(estimator, flag, &seen);
            match judged.verdict.outcome() {
                Outcome::Pinned => prop_assert_eq!(judged.flag_after, Flag::Set),
                Outcome::NotPinned => prop_assert_eq!(judged.flag_after, Flag::Clear),
                Outcome::Uncertain => {
                    // Not knowing is no reason to forget a GUP.
                    prop_assert!(flag != Flag::Set || judged.flag_after != Flag::Clear);
                }
            }
        }
    }

    #[test]
    fn every_machine_ends_whatever_it_is_told(
        answers in prop::collection::vec(answer(), MAX_STEPS),
    ) {
        for estimator in Estimator::ALL {
            let end = answers.iter().fold(Machine::new(estimator), |it, &answer| it.give(answer));
            prop_assert!(matches!(end.next(), Next::Verdict(_)), "{}", estimator.name());
        }
    }

    #[test]
    fn second_walk_of_the_posted_two_walk_decides_nothing(
        counts in (number(), number(), number()), markers in (number(), number()),
    ) {
        let (first, found, second) = counts;
        let to_second_walk = [
            Answer::Number(first),
            Answer::Number(found),
            Answer::Flag(true),
            Answer::Number(second),
        ];
        let machine = to_second_walk.into_iter().fold(Machine::new(Estimator::TwoWalk), Machine::give);
        if machine.next() == Next::Ask(Ask::MarkerWalk) {
            let (few, many) = markers;
            prop_assert_eq!(machine.give(Answer::Number(few)), machine.give(Answer::Number(many)));
        }
    }

    #[test]
    fn only_mapcount_estimators_touch_a_flag_or_walk(flag in flag(), seen in sample()) {
        for estimator in Estimator::ALL.into_iter().filter(|it| !it.uses_mapcount()) {
            for step in judge(estimator, flag, &seen).steps.as_slice() {
                let reads =
                    matches!(step.ask, Ask::Explained | Ask::Refcount | Ask::Pincount | Ask::Pins);
                prop_assert!(reads, "{:?}", step);
            }
        }
    }

    #[test]
    fn fixed_two_walk_differs_from_the_posted_one_only_where_a_zap_was_seen(
        flag in flag(), seen in sample(),
    ) {
        let quiet = Observations { zaps_in_walk: Ok(0), zaps_after_walk: Ok(0), ..seen };
        let posted = judge(Estimator::TwoWalk, flag, &quiet);
        prop_assert_eq!(posted, judge(Estimator::TwoWalkFixed, flag, &quiet));
    }

    #[test]
    fn two_boards_add_up_to_one(
        samples in prop::collection::vec(sample(), 0..20), cut in 0_usize..20,
    ) {
        let record = |samples: &[Observations]| {
            let mut board = Scoreboard::EMPTY;
            for seen in samples {
                board.record(&judge_all(Flags::CLEAR, seen).0);
            }
            board
        };
        let (left, right) = samples.split_at(cut.min(samples.len()));
        let mut sum = record(left);
        sum.merge(&record(right));
        let whole = record(&samples);
        prop_assert_eq!(&sum, &whole);
        for estimator in Estimator::ALL {
            for truth in Truth::ALL {
                let Tally {
                    true_positive, false_positive, true_negative, false_negative, uncertain,
                    unscored,
                } = whole.tally(estimator, truth);
                let all = true_positive + false_positive + true_negative + false_negative;
                prop_assert_eq!(all + uncertain + unscored, whole.walks());
            }
        }
    }
}
