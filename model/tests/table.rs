//! The findings, pinned: which exist, how long their shortest traces are, and how many states were searched.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::LazyLock;

use estimator::{AsWritten, Estimator};
use model::document::{self, Block};
use model::finding::Finding;
use model::mutation::{ALIKE, mutants};
use model::scenario::{Lock, Scenario, Setting, Size, Walks};
use model::search::{Trace, search};
use model::table::{Effort, Row, compact, rows, standstills};

static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| rows(Effort::Quick, None));

fn row(estimator: Estimator, setting: Setting, lock: Lock) -> &'static Row {
    let wanted = |it: &&Row| (it.estimator, it.setting, it.lock) == (estimator, setting, lock);
    ROWS.iter()
        .find(wanted)
        .expect("every estimator is searched in every setting that concerns it")
}

/// Whether a finding exists under both lock regimes; they must agree.
fn exists(estimator: Estimator, setting: Setting, finding: Finding) -> bool {
    let [held, absent] =
        Lock::ALL.map(|lock| row(estimator, setting, lock).found.contains_key(&finding));
    assert_eq!(held, absent, "{} {}", estimator.name(), finding.name());
    held
}

/// The steps of a shortest trace, counted coarsely, of a page with one entry and at most one pin.
fn coarse(estimator: Estimator, lock: Lock, finding: Finding) -> usize {
    let size = Size {
        entries: 1,
        pins: 1,
        gups: 1,
        walks: Walks::One,
    };
    let scenario = Scenario {
        estimator,
        lock,
        setting: Setting::Plain,
        size,
    };
    let traces: BTreeMap<Finding, Trace> = search(scenario, AsWritten).traces;
    traces[&finding].coarse_steps(lock)
}

#[test]
fn document_has_the_table_that_the_search_gives() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/estimators.md");
    let text = document::read(&path).unwrap();
    let stale = "is stale: run `cargo run --release -p model -- table --write docs/estimators.md`";
    assert!(
        document::part(&text, Block::Quick).unwrap() == compact(&ROWS),
        "the table {stale}"
    );
    for block in [Block::Traces, Block::Mutants] {
        let fresh = document::generate(block);
        assert!(
            document::part(&text, block).unwrap() == fresh,
            "{block:?} {stale}"
        );
    }
}

#[test]
fn number_of_reachable_states_is_what_it_was() {
    let states: usize = ROWS.iter().flat_map(|it| &it.states).sum();
    assert_eq!(states, 2_409_348);
    assert_eq!(
        row(Estimator::TwoWalk, Setting::Plain, Lock::Held).states,
        [25_997, 4_251]
    );
    assert_eq!(
        row(Estimator::TwoWalk, Setting::Plain, Lock::Absent).states,
        [60_361, 6_865]
    );
    assert_eq!(
        row(Estimator::Ordered, Setting::Plain, Lock::Held).states,
        [21_943, 4_046]
    );
}

#[test]
fn every_search_moves_and_none_is_unsound_or_uncertain() {
    assert_eq!(standstills(&ROWS), [""; 0]);
    for row in ROWS.iter() {
        assert!(!row.found.contains_key(&Finding::Unsound), "{row:?}");
        assert!(!row.found.contains_key(&Finding::Uncertain), "{row:?}");
    }
}

#[test]
fn two_walk_has_a_false_negative_by_a_zap_and_one_by_a_gup() {
    assert!(exists(
        Estimator::TwoWalk,
        Setting::Plain,
        Finding::FalseNegativeByZap
    ));
    assert!(exists(
        Estimator::TwoWalk,
        Setting::Plain,
        Finding::FalseNegativeByGup
    ));
    let by_zap = |lock| coarse(Estimator::TwoWalk, lock, Finding::FalseNegativeByZap);
    assert_eq!((by_zap(Lock::Held), by_zap(Lock::Absent)), (7, 8));
    let by_gup = |lock| coarse(Estimator::TwoWalk, lock, Finding::FalseNegativeByGup);
    assert_eq!((by_gup(Lock::Held), by_gup(Lock::Absent)), (4, 4));
}

#[test]
fn pinned_for_sure_is_wrong_through_a_zap_in_flight_only_without_the_lock() {
    let found = |lock| {
        let row = row(Estimator::TwoWalk, Setting::Plain, lock);
        row.found.contains_key(&Finding::FalsePositiveByZap)
    };
    assert!(!found(Lock::Held));
    assert!(found(Lock::Absent));
    assert_eq!(
        coarse(
            Estimator::TwoWalk,
            Lock::Absent,
            Finding::FalsePositiveByZap
        ),
        5
    );
}

#[test]
fn repaired_two_walk_keeps_only_the_false_negative_by_a_gup_while_markers_last() {
    assert!(!exists(
        Estimator::TwoWalkFixed,
        Setting::Plain,
        Finding::FalseNegativeByZap
    ));
    assert!(exists(
        Estimator::TwoWalkFixed,
        Setting::Plain,
        Finding::FalseNegativeByGup
    ));
    assert!(exists(
        Estimator::TwoWalkFixed,
        Setting::Plain,
        Finding::FalsePositiveByZap
    ));
    // A marker that goes with its page table, or that a read-only entry never leaves, is not counted.
    assert!(exists(
        Estimator::TwoWalkFixed,
        Setting::Freed,
        Finding::FalseNegativeByZap
    ));
    assert!(exists(
        Estimator::TwoWalkFixed,
        Setting::Literal,
        Finding::FalseNegativeByZap
    ));
}

#[test]
fn simple_has_a_false_negative_by_a_zap_with_the_lock_and_without() {
    assert!(exists(
        Estimator::Simple,
        Setting::Plain,
        Finding::FalseNegativeByZap
    ));
    assert!(!exists(
        Estimator::Simple,
        Setting::Plain,
        Finding::FalseNegativeByGup
    ));
    let by_zap = |lock| coarse(Estimator::Simple, lock, Finding::FalseNegativeByZap);
    assert_eq!((by_zap(Lock::Held), by_zap(Lock::Absent)), (4, 5));
}

#[test]
fn ordered_estimators_have_no_false_negative_while_a_gup_sets_the_flag_last() {
    for estimator in [
        Estimator::Ordered,
        Estimator::OrderedRecheck,
        Estimator::Ledger,
    ] {
        for setting in Setting::ALL.into_iter().filter(|it| it.concerns(estimator)) {
            if setting == Setting::Early {
                // They rest on the order of a GUP's two steps.
                assert!(exists(estimator, setting, Finding::FalseNegativeByGup));
                continue;
            }
            assert!(!exists(estimator, setting, Finding::FalseNegative));
        }
    }
    assert!(exists(
        Estimator::Ordered,
        Setting::Plain,
        Finding::FalsePositiveByZap
    ));
}

#[test]
fn private_mapping_is_a_false_positive_that_never_heals_for_every_mapcount_estimator() {
    for estimator in Estimator::ALL {
        let quiet = exists(estimator, Setting::Private, Finding::FalsePositiveQuiet);
        let unhealed = exists(estimator, Setting::Private, Finding::UnhealedQuiet);
        assert_eq!(
            (quiet, unhealed),
            (estimator.uses_mapcount(), estimator.uses_mapcount())
        );
    }
}

#[test]
fn false_positive_of_shared_mappings_heals_at_the_next_walk_that_nothing_races() {
    for estimator in Estimator::ALL {
        assert!(!exists(estimator, Setting::Plain, Finding::UnhealedQuiet));
    }
    // The mail's claim names GUP as the only exception. A zap that races again is another.
    assert!(exists(
        Estimator::Ordered,
        Setting::Plain,
        Finding::Unhealed
    ));
}

#[test]
fn kernel_misses_a_reference_without_the_bias_and_nothing_else() {
    for setting in [Setting::Plain, Setting::Private, Setting::Large] {
        assert!(!exists(Estimator::Kernel, setting, Finding::FalseNegative));
    }
    assert!(exists(
        Estimator::Kernel,
        Setting::Get,
        Finding::FalseNegativeQuiet
    ));
    assert!(exists(
        Estimator::ExpectedRefs,
        Setting::Get,
        Finding::FalseNegativeByZap
    ));
}

#[test]
fn every_comparison_turned_around_is_caught() {
    let alike = ALIKE.map(|(estimator, site, turn, _)| (estimator, site, turn));
    for mutant in mutants() {
        let known = alike.contains(&(mutant.estimator, mutant.site, mutant.turn));
        assert_eq!(mutant.told_by.is_empty(), known, "{mutant:?}");
    }
}
