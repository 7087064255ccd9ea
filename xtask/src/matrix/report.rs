//! What a run of the matrix is told as: a table for people, JSON for programs. Leaves out the run.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{
    cell::{Cell, Outcome},
    verifier::Findings,
};

/// Everything that a run found.
pub(crate) struct Report {
    pub(crate) outcomes: Vec<(Cell, Outcome)>,
    pub(crate) verifier: Findings,
    pub(crate) seconds: f32,
}

impl Report {
    pub(crate) fn is_good(&self) -> bool {
        self.outcomes.iter().all(|(_, it)| it.failed.is_empty()) && self.verifier.worse.is_empty()
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for (cell, it) in &self.outcomes {
            for (why, tests) in reasons(it) {
                let _ = writeln!(text, "absent {} {}: {tests}: {why}", cell.kernel, cell.mode);
            }
        }
        if !self.verifier.new.is_empty() {
            let _ = writeln!(
                text,
                "{} programs are not in hooks/facts/verifier.txt (--record)",
                self.verifier.new.len()
            );
        }
        for (cell, it) in &self.outcomes {
            for told in &it.failed {
                let _ = writeln!(
                    text,
                    "FAILED {} {}: {}: {}",
                    cell.kernel, cell.mode, told.test, told.why
                );
            }
        }
        for line in &self.verifier.worse {
            let _ = writeln!(text, "FAILED verifier: {line}");
        }
        let _ = writeln!(
            text,
            "{:<12} {:<7} {:>7} {:>7} {:>7} {:>8}",
            "kernel", "mode", "passed", "failed", "absent", "seconds"
        );
        for (cell, it) in &self.outcomes {
            let _ = writeln!(
                text,
                "{:<12} {:<7} {:>7} {:>7} {:>7} {:>8.0}",
                cell.kernel,
                cell.mode,
                it.passed.len(),
                it.failed.len(),
                it.absent.len(),
                it.seconds
            );
        }
        let count = |of: fn(&Outcome) -> usize| -> usize {
            self.outcomes.iter().map(|(_, it)| of(it)).sum()
        };
        let _ = write!(
            text,
            "\n{} passed, {} failed, {} absent in {:.0} s ({:.1} min)",
            count(|it| it.passed.len()),
            count(|it| it.failed.len()) + self.verifier.worse.len(),
            count(|it| it.absent.len()),
            self.seconds,
            self.seconds / 60.0
        );
        text
    }

    pub(crate) fn json(&self) -> Value {
        let cells: Vec<_> = self
            .outcomes
            .iter()
            .map(|(cell, it)| {
                json!({
                    "kernel": cell.kernel, "mode": cell.mode, "passed": it.passed,
                    "failed": it.failed, "absent": it.absent, "seconds": it.seconds,
                })
            })
            .collect();
        json!({
            "good": self.is_good(),
            "cells": cells,
            "verifier": { "worse": self.verifier.worse, "new": self.verifier.new },
            "seconds": self.seconds,
        })
    }
}

/// Each reason once, with how many tests, or which one.
fn reasons(outcome: &Outcome) -> Vec<(&str, String)> {
    let mut found: Vec<(&str, Vec<&str>)> = Vec::new();
    for told in &outcome.absent {
        match found.iter_mut().find(|(why, _)| *why == told.why) {
            Some((_, tests)) => tests.push(&told.test),
            None => found.push((&told.why, vec![&told.test])),
        }
    }
    found
        .into_iter()
        .map(|(why, tests)| match tests.as_slice() {
            [only] => (why, (*only).to_owned()),
            several => (why, format!("{} tests", several.len())),
        })
        .collect()
}
