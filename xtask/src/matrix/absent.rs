//! Which tests are absent where, and why: a list in the repository, so that a test which comes to
//! be skipped is a failure and not a silence. Leaves out deciding it, which the tests do.

use std::{collections::BTreeMap, fs, path::PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::cell::{Cell, Outcome, Set, Told};
use crate::paths;

/// Kernel, mode and what set if not the usual one, such as `5.10 fentry`, to reason to tests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record(BTreeMap<String, BTreeMap<String, Vec<String>>>);

impl Record {
    pub(crate) fn read() -> anyhow::Result<Self> {
        let text = fs::read_to_string(path()).context("cannot read xtask/absent.json")?;
        serde_json::from_str(&text).context("xtask/absent.json is damaged")
    }

    pub(crate) fn write(&self) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        fs::write(path(), text + "\n").context("cannot write xtask/absent.json")
    }

    /// Takes over what the cells that ran every test say.
    pub(crate) fn update(&mut self, outcomes: &[(Cell, Outcome)]) {
        for (cell, outcome) in outcomes {
            if !cell.work.tests.as_ref().is_some_and(Vec::is_empty) {
                continue;
            }
            self.0.remove(&key(cell));
            for Told { test, why } in &outcome.absent {
                let reasons = self.0.entry(key(cell)).or_default();
                reasons.entry(why.clone()).or_default().push(test.clone());
            }
        }
    }

    /// Turns an absence that is not on the list into a failure.
    pub(crate) fn hold(&self, cell: &Cell, outcome: &mut Outcome) {
        let (known, unknown) = std::mem::take(&mut outcome.absent)
            .into_iter()
            .partition(|told| self.has(cell, told));
        outcome.absent = known;
        outcome.failed.extend(unknown.into_iter().map(|told| Told {
            why: format!(
                "absent, and xtask/absent.json does not have it: {}",
                told.why
            ),
            ..told
        }));
    }

    /// Tests on the list that pass by now.
    pub(crate) fn passing(&self, cell: &Cell, outcome: &Outcome) -> Vec<String> {
        let listed = self
            .0
            .get(&key(cell))
            .into_iter()
            .flat_map(BTreeMap::values);
        listed
            .flatten()
            .filter(|test| outcome.passed.contains(test))
            .cloned()
            .collect()
    }

    fn has(&self, cell: &Cell, told: &Told) -> bool {
        self.0
            .get(&key(cell))
            .and_then(|reasons| reasons.get(&told.why))
            .is_some_and(|tests| tests.contains(&told.test))
    }
}

fn key(cell: &Cell) -> String {
    let key = format!("{} {}", cell.kernel, cell.mode);
    match cell.work.set {
        Set::Usual => key,
        set => format!("{key} {set}"),
    }
}

fn path() -> PathBuf {
    paths::root().join("xtask/absent.json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::cell::{Mode, Set, Work};

    fn cell() -> Cell {
        Cell {
            kernel: "5.10".into(),
            mode: Mode::Kprobe,
            work: Work {
                set: Set::Usual,
                tests: Some(Vec::new()),
                verifier: false,
            },
        }
    }

    fn absent(test: &str, why: &str) -> Outcome {
        Outcome {
            absent: vec![Told {
                test: test.into(),
                why: why.into(),
            }],
            ..Outcome::default()
        }
    }

    #[test]
    fn an_absence_that_is_not_on_the_list_is_a_failure() {
        let mut record = Record::default();
        record.update(&[(cell(), absent("a", "no helper"))]);
        for (test, why, failed) in [
            ("a", "no helper", 0),
            ("b", "no helper", 1),
            ("a", "no time", 1),
        ] {
            let mut outcome = absent(test, why);
            record.hold(&cell(), &mut outcome);
            assert_eq!(outcome.failed.len(), failed, "{test}: {why}");
            assert_eq!(outcome.absent.len(), 1 - failed, "{test}: {why}");
        }
    }

    #[test]
    fn a_run_of_some_tests_does_not_change_the_list() {
        let mut some = cell();
        some.work.tests = Some(vec!["held".into()]);
        let mut record = Record::default();
        record.update(&[(some, absent("a", "no helper"))]);
        assert_eq!(record, Record::default());
    }

    #[test]
    fn the_list_in_the_repository_is_sound() {
        Record::read().unwrap();
    }
}
