//! What was seen, in a few lines, when the agent ends.

use std::time::Duration;

use estimator::{Estimator, Outcome, Truth};
use probe_abi::{Lost, WalkKind};
use serde_json::{Map, Value, json};

use super::output::{self, Format};
use crate::{
    collect::{Snapshot, State},
    selftest::Tested,
};

pub(crate) fn print(state: &State, now: &Snapshot, ran: Duration, format: Format) {
    match format {
        Format::Text => output::print(&text(state, now, ran)),
        Format::Json => output::print(&as_json(state, now, ran)),
    }
}

fn text(state: &State, now: &Snapshot, ran: Duration) -> String {
    let totals = &now.totals;
    let held = &now.outstanding;
    let mut lines = Vec::new();
    let mut line = |text: String| lines.push(text);
    line(format!("pinscope ran for {:.1} s", ran.as_secs_f64()));
    line(format!(
        "  pins         {} pages pinned, {} unpinned, {} outstanding on {} folios",
        totals.pages_pinned, totals.pages_unpinned, held.pinned_pages, held.pinned_folios
    ));
    line(format!(
        "  references   {} pages taken, {} seen given back",
        totals.pages_referenced, totals.pages_unreferenced
    ));
    line(format!(
        "  kernel       {} acquired, {} released by /proc/vmstat; difference {}; {} undone, {} rolled back",
        now.vmstat.acquired,
        now.vmstat.released,
        now.unreconciled,
        totals.pages_undone,
        now.rolled_back
    ));
    line(format!(
        "  mkclean      {} walks: {} unmapped, {} settled, {} sampled",
        totals.walks.iter().sum::<u64>(),
        totals.walks[WalkKind::UNMAPPED],
        totals.walks[WalkKind::SETTLED],
        totals.walks[WalkKind::SAMPLED]
    ));
    line(format!(
        "  verdicts     {} samples judged",
        state.judge.judged()
    ));
    line(format!(
        "    {:<16}{:>10}{:>12}{:>11}{:>8}{:>8}",
        "estimator", "pinned", "not pinned", "uncertain", "false+", "false-"
    ));
    for estimator in Estimator::ALL {
        let tally = state.judge.scoreboard().tally(estimator, Truth::Kernel);
        line(format!(
            "    {:<16}{:>10}{:>12}{:>11}{:>8}{:>8}",
            estimator.name(),
            count(state, estimator, Outcome::Pinned),
            count(state, estimator, Outcome::NotPinned),
            count(state, estimator, Outcome::Uncertain),
            tally.false_positive,
            tally.false_negative
        ));
    }
    let lost: Vec<String> = Lost::NAMES
        .iter()
        .zip(totals.lost)
        .filter(|(_, count)| *count > 0)
        .map(|(cause, count)| format!("{count} {cause}"))
        .collect();
    let lost = if lost.is_empty() {
        "nothing".to_owned()
    } else {
        lost.join(", ")
    };
    line(format!("  lost         {lost}"));
    for hook in &state.hooks {
        if let Tested::Failed(why) = &hook.tested {
            line(format!(
                "  blind        {} failed the self-test: {why}",
                hook.state.name
            ));
        }
    }
    lines.join("\n")
}

fn as_json(state: &State, now: &Snapshot, ran: Duration) -> Value {
    let totals = &now.totals;
    let verdicts: Map<String, Value> = Estimator::ALL
        .iter()
        .map(|estimator| {
            let tally = state.judge.scoreboard().tally(*estimator, Truth::Kernel);
            let counts = json!({
                "pinned": count(state, *estimator, Outcome::Pinned),
                "not_pinned": count(state, *estimator, Outcome::NotPinned),
                "uncertain": count(state, *estimator, Outcome::Uncertain),
                "false_positive": tally.false_positive,
                "false_negative": tally.false_negative,
            });
            (estimator.name().to_owned(), counts)
        })
        .collect();
    let lost: Map<String, Value> = Lost::NAMES
        .iter()
        .zip(totals.lost)
        .map(|(cause, count)| ((*cause).to_owned(), json!(count)))
        .collect();
    let self_test: Map<String, Value> = state
        .hooks
        .iter()
        .filter(|it| it.state.attached.is_some())
        .map(|it| (it.state.name.to_owned(), json!(it.tested.outcome())))
        .collect();
    let untested: Map<String, Value> = state
        .hooks
        .iter()
        .filter(|it| it.state.attached.is_some())
        .filter_map(|it| match &it.tested {
            Tested::Untested(why) => Some((it.state.name.to_owned(), json!(why))),
            Tested::Passed | Tested::Failed(_) => None,
        })
        .collect();
    json!({
        "seconds": ran.as_secs_f64(),
        "pages_pinned": totals.pages_pinned,
        "pages_unpinned": totals.pages_unpinned,
        "pages_referenced": totals.pages_referenced,
        "pages_unreferenced": totals.pages_unreferenced,
        "pages_undone": totals.pages_undone,
        "pinned_pages": now.outstanding.pinned_pages,
        "pinned_folios": now.outstanding.pinned_folios,
        "vmstat_acquired": now.vmstat.acquired,
        "vmstat_released": now.vmstat.released,
        "unreconciled_pages": now.unreconciled,
        "rolled_back_pages": now.rolled_back,
        "walks": {
            "unmapped": totals.walks[WalkKind::UNMAPPED],
            "settled": totals.walks[WalkKind::SETTLED],
            "sampled": totals.walks[WalkKind::SAMPLED],
        },
        "samples_judged": state.judge.judged(),
        "verdicts": verdicts,
        "lost": lost,
        "self_test": self_test,
        "untested": untested,
        "self_test_seconds": state.self_test.as_secs_f64(),
    })
}

fn count(state: &State, estimator: Estimator, verdict: Outcome) -> u64 {
    Outcome::ALL
        .iter()
        .flat_map(|kernel| Outcome::ALL.iter().map(move |ledger| (kernel, ledger)))
        .map(|(kernel, ledger)| {
            state
                .judge
                .scoreboard()
                .count(estimator, verdict, *kernel, *ledger)
        })
        .sum()
}
