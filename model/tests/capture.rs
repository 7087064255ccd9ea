//! What is proved is what runs: a trace, captured as the probes would, gives the live verdict of its model.

use std::collections::BTreeMap;

use estimator::trace::{Capture, Event, TRACE_HEADER};
use estimator::{AsWritten, Doubt, Estimator, Flag, Outcome, Verdict, judge};
use model::finding::Finding;
use model::scenario::{Lock, Scenario, Setting, Size};
use model::search::{Trace, search};
use model::text;

fn shortest(estimator: Estimator, setting: Setting, lock: Lock) -> BTreeMap<Finding, Trace> {
    search(
        Scenario {
            estimator,
            lock,
            setting,
            size: Size::SMALL,
        },
        AsWritten,
    )
    .traces
}

/// The verdicts that the model reached, and those that the live driver reaches from the captured walks.
fn verdicts(estimator: Estimator, trace: &Trace) -> Vec<(Outcome, Verdict)> {
    let mut capture = Capture::new(trace.page);
    let mut flag = if trace.page.flag {
        Flag::Set
    } else {
        Flag::Clear
    };
    let mut verdicts = Vec::new();
    for &event in trace.steps.iter().flatten() {
        let Some(seen) = capture.see(event) else {
            continue;
        };
        let judged = judge(estimator, flag, &seen);
        flag = judged.flag_after;
        if let Event::Says(said) = event {
            verdicts.push((said, judged.verdict));
        }
    }
    verdicts
}

#[test]
fn named_findings_are_found_live_too_where_their_race_has_a_hook() {
    for (estimator, setting, lock, finding) in [
        (
            Estimator::TwoWalk,
            Setting::Plain,
            Lock::Held,
            Finding::FalseNegativeByZap,
        ),
        (
            Estimator::TwoWalk,
            Setting::Plain,
            Lock::Absent,
            Finding::FalseNegativeByZap,
        ),
        (
            Estimator::TwoWalk,
            Setting::Plain,
            Lock::Held,
            Finding::FalseNegativeByGup,
        ),
        (
            Estimator::TwoWalk,
            Setting::Private,
            Lock::Held,
            Finding::FalsePositiveQuiet,
        ),
        (
            Estimator::Simple,
            Setting::Plain,
            Lock::Held,
            Finding::FalseNegativeByZap,
        ),
        (
            Estimator::Ordered,
            Setting::Plain,
            Lock::Held,
            Finding::FalsePositiveByZap,
        ),
        (
            Estimator::Kernel,
            Setting::Get,
            Lock::Held,
            Finding::FalseNegativeQuiet,
        ),
    ] {
        let traces = shortest(estimator, setting, lock);
        for (said, live) in verdicts(estimator, &traces[&finding]) {
            let name = (estimator.name(), finding.name());
            assert_eq!(
                live.outcome(),
                said,
                "{name:?}: {:?}",
                text::lines(&traces[&finding])
            );
        }
    }
}

#[test]
fn two_walk_fixed_believes_a_marker_that_went_with_its_page_table() {
    // Live, the zap itself was seen, so the captured walk is judged better than the kernel could.
    let traces = shortest(Estimator::TwoWalkFixed, Setting::Freed, Lock::Held);
    let trace = &traces[&Finding::FalseNegativeByZap];
    let live = verdicts(Estimator::TwoWalkFixed, trace);
    assert_eq!(live, [(Outcome::NotPinned, Verdict::Pinned)]);
}

#[test]
fn order_that_no_hook_sees_is_a_doubt_and_no_guess() {
    let trace = "page shared 2 private 0 pins 1 flag set pin bias
        mkclean reads the combined count: 3
        mkclean passes entry 0: present, counted
        zap clears entry 0
        zap marks entry 0: 3
        zap decrements the mapcount for entry 0
        mkclean passes entry 1: present, counted
        mkclean ends its walk: 2
        mkclean says: pinned";
    let mut capture = None;
    let mut seen = None;
    for line in trace.lines() {
        match line.parse().unwrap() {
            Event::Page(page) => capture = Some(Capture::new(page)),
            event => seen = capture.as_mut().unwrap().see(event),
        }
    }
    let judged = judge(Estimator::TwoWalkFixed, Flag::Set, &seen.unwrap());
    assert_eq!(judged.verdict, Verdict::Uncertain(Doubt::Ambiguous));
}

#[test]
fn printed_trace_is_read_back_line_by_line() {
    for estimator in Estimator::ALL {
        for trace in shortest(estimator, Setting::Plain, Lock::Absent).values() {
            let lines = text::lines(trace);
            let (header, events) = lines.split_first().unwrap();
            assert_eq!(header, TRACE_HEADER);
            for line in events {
                assert_eq!(&line.parse::<Event>().unwrap().to_string(), line);
            }
        }
    }
}
