//! Traces and mutants in words and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use estimator::trace::{Event, TRACE_HEADER};
use serde_json::{Value, json};

use crate::finding::Finding;
use crate::mutation::Mutant;
use crate::scenario::Lock;
use crate::search::{Found, Trace};

/// The shortest trace to each finding. What follows a heading is a trace that a replay reads.
#[must_use]
pub fn traces(traces: &BTreeMap<Finding, Trace>, lock: Lock) -> String {
    let mut out = String::new();
    for (finding, trace) in traces {
        let (steps, coarse) = (trace.steps.len(), trace.coarse_steps(lock));
        let _ = writeln!(out, "# {}: {steps} steps ({coarse} coarse)", finding.name());
        let _ = writeln!(out, "{}\n", lines(trace).join("\n"));
    }
    out
}

/// The same, each trace as a list of lines.
#[must_use]
pub fn traces_json(traces: &BTreeMap<Finding, Trace>, lock: Lock) -> Value {
    let one = |(finding, trace): (&Finding, &Trace)| {
        json!({
            "finding": finding.name(),
            "steps": trace.steps.len(),
            "coarse_steps": trace.coarse_steps(lock),
            "trace": lines(trace),
        })
    };
    Value::Array(traces.iter().map(one).collect())
}

/// One search: a line for the states and one for each finding.
#[must_use]
pub fn found(found: &Found) -> String {
    let mut out = format!("{} states\n", found.states);
    for (finding, trace) in &found.traces {
        let _ = writeln!(out, "{}: {} steps", finding.name(), trace.steps.len());
    }
    out
}

/// The same, each finding by name.
#[must_use]
pub fn found_json(found: &Found) -> Value {
    let traces: serde_json::Map<_, _> = found
        .traces
        .iter()
        .map(|(it, trace)| (it.name().to_owned(), json!(trace.steps.len())))
        .collect();
    json!({ "states": found.states, "found": traces })
}

/// The lines of a trace, header and page first.
#[must_use]
pub fn lines(trace: &Trace) -> Vec<String> {
    let events = trace.steps.iter().flatten().map(Event::to_string);
    [TRACE_HEADER.to_owned(), Event::Page(trace.page).to_string()]
        .into_iter()
        .chain(events)
        .collect()
}

/// The mutants as a Markdown table.
#[must_use]
pub fn mutants(mutants: &[Mutant]) -> String {
    let mut out = String::from("| estimator | comparison | turned | told by |\n");
    out.push_str("| --- | --- | --- | --- |\n");
    for Mutant {
        estimator,
        site,
        turn,
        told_by,
    } in mutants
    {
        let told: Vec<_> = told_by.iter().map(|it| it.name()).collect();
        let told = if told.is_empty() {
            "nothing".to_owned()
        } else {
            told.join(", ")
        };
        let _ = writeln!(
            out,
            "| `{}` | {site:?} | {} | {told} |",
            estimator.name(),
            turn.name()
        );
    }
    out
}

/// The mutants as JSON.
#[must_use]
pub fn mutants_json(mutants: &[Mutant]) -> Value {
    let one = |it: &Mutant| {
        json!({
            "estimator": it.estimator.name(),
            "comparison": format!("{:?}", it.site),
            "turned": it.turn.name(),
            "told_by": it.told_by.iter().map(|it| it.name()).collect::<Vec<_>>(),
        })
    };
    Value::Array(mutants.iter().map(one).collect())
}
