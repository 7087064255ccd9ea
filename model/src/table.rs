//! The results of all searches, row by row, as text, Markdown and JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use estimator::{AsWritten, Estimator};
use serde_json::{Value, json};

use crate::finding::Finding;
use crate::scenario::{Lock, Scenario, Setting, Size};
use crate::search::{Found, search};

/// How much is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// What a test can afford.
    Quick,
    /// Wider and more crowded pages as well.
    Full,
}

impl Effort {
    /// The sizes searched for a setting.
    #[must_use]
    pub fn sizes(self, setting: Setting) -> &'static [Size] {
        match (setting, self) {
            (Setting::Private, Self::Quick) => &[Size::NARROW],
            (Setting::Private, Self::Full) => &[Size::NARROW, Size::SMALL],
            (_, Self::Quick) => &[Size::SMALL, Size::NARROW],
            (Setting::Plain, Self::Full) => &[Size::WIDE, Size::CROWDED, Size::DEEP],
            (_, Self::Full) => &[Size::CROWDED, Size::DEEP],
        }
    }
}

/// One estimator in one setting under one lock regime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Who judged.
    pub estimator: Estimator,
    /// Under which locks.
    pub lock: Lock,
    /// In which setting.
    pub setting: Setting,
    /// Reachable states of every size searched, in the order of [`Effort::sizes`].
    pub states: Vec<usize>,
    /// The findings that exist, with the steps of the shortest trace.
    pub found: BTreeMap<Finding, usize>,
}

/// Searches everything, two searches at a time. Rows come out in the order of the catalogue.
#[must_use]
pub fn rows(effort: Effort, only: Option<Estimator>) -> Vec<Row> {
    let mut wanted = Vec::new();
    for estimator in Estimator::ALL
        .into_iter()
        .filter(|it| only.is_none_or(|only| only == *it))
    {
        for setting in Setting::ALL.into_iter().filter(|it| it.concerns(estimator)) {
            wanted.extend(Lock::ALL.map(|lock| (estimator, setting, lock)));
        }
    }
    let rows = Mutex::new(vec![None; wanted.len()]);
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(&(estimator, setting, lock)) =
                    wanted.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    let row = row(effort, estimator, setting, lock);
                    let place = wanted
                        .iter()
                        .position(|it| *it == (estimator, setting, lock));
                    let mut rows = rows.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Some(slot) = place.and_then(|it| rows.get_mut(it)) {
                        *slot = Some(row);
                    }
                }
            });
        }
    });
    let rows = rows.into_inner().unwrap_or_else(PoisonError::into_inner);
    rows.into_iter().flatten().collect()
}

fn row(effort: Effort, estimator: Estimator, setting: Setting, lock: Lock) -> Row {
    let mut row = Row {
        estimator,
        lock,
        setting,
        states: Vec::new(),
        found: BTreeMap::new(),
    };
    for &size in effort.sizes(setting) {
        let Found { states, traces } = search(
            Scenario {
                estimator,
                lock,
                setting,
                size,
            },
            AsWritten,
        );
        row.states.push(states);
        for (finding, trace) in traces {
            let steps = trace.steps.len();
            row.found
                .entry(finding)
                .and_modify(|it| *it = steps.min(*it))
                .or_insert(steps);
        }
    }
    row
}

/// The columns of the printed table.
const COLUMNS: [(&str, Finding); 12] = [
    ("FN by zap", Finding::FalseNegativeByZap),
    ("FN by GUP", Finding::FalseNegativeByGup),
    ("FN quiet", Finding::FalseNegativeQuiet),
    ("FN again", Finding::FalseNegativeAgain),
    ("FN", Finding::FalseNegative),
    ("FP by zap", Finding::FalsePositiveByZap),
    ("FP by GUP", Finding::FalsePositiveByGup),
    ("FP by release", Finding::FalsePositiveByPut),
    ("FP quiet", Finding::FalsePositiveQuiet),
    ("FP", Finding::FalsePositive),
    ("unhealed", Finding::Unhealed),
    ("unhealed quiet", Finding::UnhealedQuiet),
];

/// The table as Markdown; as text it reads as well. A cell is the length of the shortest trace.
#[must_use]
pub fn markdown(rows: &[Row]) -> String {
    let mut out = String::from("| estimator | setting | lock | states |");
    for (name, _) in COLUMNS {
        let _ = write!(out, " {name} |");
    }
    out.push_str("\n| --- | --- | --- | ---: |");
    out.push_str(&" ---: |".repeat(COLUMNS.len()));
    out.push('\n');
    for row in rows {
        let (name, setting, lock) = (row.estimator.name(), row.setting.name(), row.lock.name());
        let states: Vec<_> = row.states.iter().map(usize::to_string).collect();
        let _ = write!(
            out,
            "| `{name}` | {setting} | {lock} | {} |",
            states.join(" + ")
        );
        for (_, finding) in COLUMNS {
            match row.found.get(&finding) {
                Some(steps) => {
                    let _ = write!(out, " {steps} |");
                }
                None => out.push_str(" - |"),
            }
        }
        out.push('\n');
    }
    out
}

/// The same with both lock regimes in a cell, held first. Rows of one setting must follow each other.
#[must_use]
pub fn compact(rows: &[Row]) -> String {
    let mut out = String::from("| estimator | setting |");
    for (name, _) in COLUMNS {
        let _ = write!(out, " {name} |");
    }
    out.push_str("\n| --- | --- |");
    out.push_str(&" :---: |".repeat(COLUMNS.len()));
    out.push('\n');
    for regimes in rows.chunk_by(|a, b| (a.estimator, a.setting) == (b.estimator, b.setting)) {
        for row in regimes.iter().take(1) {
            let _ = write!(
                out,
                "| `{}` | {} |",
                row.estimator.name(),
                row.setting.name()
            );
        }
        for (_, finding) in COLUMNS {
            let steps: Vec<_> = regimes
                .iter()
                .map(|it| {
                    it.found
                        .get(&finding)
                        .map_or("-".to_owned(), usize::to_string)
                })
                .collect();
            let none = steps.iter().all(|it| it == "-");
            let _ = write!(
                out,
                " {} |",
                if none {
                    "-".to_owned()
                } else {
                    steps.join(" / ")
                }
            );
        }
        out.push('\n');
    }
    out
}

/// The rows as JSON: every finding by name, with the steps of its shortest trace.
#[must_use]
pub fn to_json(rows: &[Row]) -> Value {
    let row = |row: &Row| {
        let found: serde_json::Map<_, _> = row
            .found
            .iter()
            .map(|(it, steps)| (it.name().to_owned(), json!(steps)))
            .collect();
        json!({
            "estimator": row.estimator.name(),
            "setting": row.setting.name(),
            "lock": row.lock.name(),
            "states": row.states,
            "found": found,
        })
    };
    Value::Array(rows.iter().map(row).collect())
}

/// What every row must show of a model that moves: the findings that are no faults.
#[must_use]
pub fn standstills(rows: &[Row]) -> Vec<String> {
    let mut missing = Vec::new();
    for row in rows {
        // A `FOLL_GET` is invisible to `kernel`, which so never calls a page pinned.
        let blind = row.estimator == Estimator::Kernel && row.setting == Setting::Get;
        for finding in [
            Finding::RightlyPinned,
            Finding::RightlyFree,
            Finding::GupInWalk,
            Finding::LastWalkEnds,
        ] {
            let expected = !(blind && finding == Finding::RightlyPinned);
            if row.found.contains_key(&finding) != expected {
                let Row {
                    estimator,
                    setting,
                    lock,
                    ..
                } = row;
                let (name, setting, lock) = (estimator.name(), setting.name(), lock.name());
                missing.push(format!("{name} {setting} {lock}: {}", finding.name()));
            }
        }
    }
    missing
}
