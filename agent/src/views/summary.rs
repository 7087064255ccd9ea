//! What was seen, in a few lines, when the agent ends.

use std::{collections::BTreeSet, time::Duration};

use estimator::{Estimator, Outcome, Truth};
use probe_abi::{Lost, WalkKind};
use serde_json::{Map, Value, json};

use super::output::{self, Format};
use crate::{
    collect::{Cause, Snapshot},
    error::AgentError,
    selftest::Tested,
};

pub(crate) fn print(now: &Snapshot, ran: Duration, format: Format) -> Result<(), AgentError> {
    match format {
        Format::Text => output::print(&text(now, ran)),
        Format::Json => output::print(&as_json(now, ran)),
    }
}

fn text(now: &Snapshot, ran: Duration) -> String {
    let totals = &now.totals;
    let mut lines = Vec::new();
    let mut line = |text: String| lines.push(text);
    line(format!("pinscope ran for {:.1} s", ran.as_secs_f64()));
    line(format!(
        "  pins         {} acquired, {} released, {} rolled back, {} outstanding on {:.0} folios",
        totals.pages_pinned,
        totals.pages_released,
        totals.pages_rolled_back,
        now.outstanding.pins,
        now.book.folios.value
    ));
    line(format!(
        "  references   {} acquired, {} seen released",
        totals.pages_referenced, totals.pages_unreferenced
    ));
    line(format!(
        "  kernel       {} acquired, {} released by /proc/vmstat; {} from before or unseen; difference {}",
        now.kernel_since_start.acquired,
        now.kernel_since_start.released,
        now.balance.preexisting,
        now.balance.difference
    ));
    let repaired: Vec<String> = Cause::ALL
        .into_iter()
        .map(|it| format!("{} {}", now.audited.of(it), it.name()))
        .collect();
    line(format!("  repaired     {}", repaired.join(", ")));
    line(format!(
        "  mkclean      {} walks: {} unmapped, {} settled, {} sampled{}",
        totals.walks.iter().sum::<u64>(),
        totals.walks[WalkKind::UNMAPPED],
        totals.walks[WalkKind::SETTLED],
        totals.walks[WalkKind::SAMPLED],
        if now.armed.disarmed > 0 {
            "; walks with nothing to judge were not looked at"
        } else {
            ""
        }
    ));
    line(format!(
        "  verdicts     {} samples judged",
        now.findings.judged
    ));
    line(format!(
        "    {:<16}{:>10}{:>12}{:>11}{:>8}{:>8}",
        "estimator", "pinned", "not pinned", "uncertain", "false+", "false-"
    ));
    for estimator in Estimator::ALL {
        let tally = now.findings.scoreboard.tally(estimator, Truth::Kernel);
        line(format!(
            "    {:<16}{:>10}{:>12}{:>11}{:>8}{:>8}",
            estimator.name(),
            count(now, estimator, Outcome::Pinned),
            count(now, estimator, Outcome::NotPinned),
            count(now, estimator, Outcome::Uncertain),
            tally.false_positive,
            tally.false_negative
        ));
    }
    let lost: Vec<String> = Lost::NAMES
        .iter()
        .zip(now.lost)
        .filter(|(_, count)| *count > 0)
        .map(|(cause, count)| format!("{count} {cause}"))
        .collect();
    let lost = if lost.is_empty() {
        "nothing".to_owned()
    } else {
        lost.join(", ")
    };
    line(format!("  lost         {lost}"));
    for hook in &now.agent.hooks {
        if let Tested::Failed(why) = &hook.tested {
            line(format!(
                "  blind        {} failed the self-test: {why}",
                hook.state.name
            ));
        }
    }
    let reasons: BTreeSet<&str> = now.silent.values().map(|it| it.why).collect();
    for why in reasons {
        let silent = now.silent.iter().filter(|(_, it)| it.why == why);
        let names: Vec<_> = silent.map(|(hook, _)| *hook).collect();
        line(format!(
            "  blind        fell silent: {}: {why}",
            names.join(", ")
        ));
    }
    lines.join("\n")
}

fn as_json(now: &Snapshot, ran: Duration) -> Value {
    let totals = &now.totals;
    let verdicts: Map<String, Value> = Estimator::ALL
        .iter()
        .map(|estimator| {
            let tally = now.findings.scoreboard.tally(*estimator, Truth::Kernel);
            let counts = json!({
                "pinned": count(now, *estimator, Outcome::Pinned),
                "not_pinned": count(now, *estimator, Outcome::NotPinned),
                "uncertain": count(now, *estimator, Outcome::Uncertain),
                "false_positive": tally.false_positive,
                "false_negative": tally.false_negative,
            });
            (estimator.name().to_owned(), counts)
        })
        .collect();
    let lost: Map<String, Value> = Lost::NAMES
        .iter()
        .zip(now.lost)
        .map(|(cause, count)| ((*cause).to_owned(), json!(count)))
        .collect();
    let repaired: Map<String, Value> = Cause::ALL
        .into_iter()
        .map(|it| (it.name().to_owned(), json!(now.audited.of(it))))
        .collect();
    let self_test: Map<String, Value> = now
        .agent
        .hooks
        .iter()
        .filter(|it| it.state.attached.is_some())
        .map(|it| (it.state.name.to_owned(), json!(it.tested.outcome())))
        .collect();
    let untested: Map<String, Value> = now
        .agent
        .hooks
        .iter()
        .filter(|it| it.state.attached.is_some())
        .filter_map(|it| match &it.tested {
            Tested::Untested(why) => Some((it.state.name.to_owned(), json!(why))),
            Tested::Passed | Tested::Failed(_) => None,
        })
        .collect();
    let silent: Map<String, Value> = now
        .silent
        .iter()
        .map(|(hook, it)| ((*hook).to_owned(), json!(it.why)))
        .collect();
    json!({
        "seconds": ran.as_secs_f64(),
        "pins_acquired": totals.pages_pinned,
        "pins_released": totals.pages_released,
        "pins_rolled_back": totals.pages_rolled_back,
        "references_acquired": totals.pages_referenced,
        "references_released": totals.pages_unreferenced,
        "pins": now.outstanding.pins,
        "pinned_folios": now.book.folios.value.round() as u64,
        "pinned_bytes": now.book.bytes.value.round() as u64,
        "kernel_pins_acquired": now.kernel_since_start.acquired,
        "kernel_pins_released": now.kernel_since_start.released,
        "preexisting_pins": now.balance.preexisting,
        "unreconciled_pins": now.balance.difference,
        "pins_rolled_back_unseen": now.rolled_back_unseen(),
        "repaired": repaired,
        "walks": {
            "unmapped": totals.walks[WalkKind::UNMAPPED],
            "settled": totals.walks[WalkKind::SETTLED],
            "sampled": totals.walks[WalkKind::SAMPLED],
        },
        "samples_judged": now.findings.judged,
        "verdicts": verdicts,
        "lost": lost,
        "self_test": self_test,
        "untested": untested,
        "silent": silent,
        "self_test_seconds": now.agent.self_test.as_secs_f64(),
    })
}

fn count(now: &Snapshot, estimator: Estimator, verdict: Outcome) -> u64 {
    Outcome::ALL
        .iter()
        .flat_map(|kernel| Outcome::ALL.iter().map(move |ledger| (kernel, ledger)))
        .map(|(kernel, ledger)| {
            now.findings
                .scoreboard
                .count(estimator, verdict, *kernel, *ledger)
        })
        .sum()
}
