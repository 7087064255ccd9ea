//! Which tests are absent where, and why: a list in the repository, so that a test which comes to
//! be skipped is a failure and not a silence. Leaves out deciding it, which the tests do.

use std::{collections::BTreeMap, fs, path::PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::cell::{Cell, Mode, Outcome, Set, Told};
use crate::paths;

/// Kernel, mode and what set if not the usual one, such as `5.10 fentry`, to reason to tests.
/// Nothing stands there for the mode auto: it lacks what both ways to attach lack.
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

    /// Takes over what the cells say that ran every test to a good end, and forgets every list
    /// that none of them can have written: of kernels that are not among `kernels`, and of auto.
    pub(crate) fn update(&mut self, outcomes: &[(Cell, Outcome)], kernels: &[String]) {
        self.0.retain(|key, _| {
            let mut words = key.split(' ');
            let (kernel, mode) = (words.next(), words.next());
            kernels.iter().any(|it| Some(it.as_str()) == kernel) && mode != Some("auto")
        });
        for (cell, outcome) in outcomes {
            if why_not_taken_over(cell, outcome).is_some() {
                continue;
            }
            let key = key(cell, cell.mode);
            self.0.remove(&key);
            for Told { test, why } in &outcome.absent {
                let reasons = self.0.entry(key.clone()).or_default();
                reasons.entry(why.clone()).or_default().push(test.clone());
            }
        }
    }

    /// Turns an absence that is not on the list into a failure, and one on the list that did not
    /// come about.
    pub(crate) fn hold(&self, cell: &Cell, outcome: &mut Outcome) {
        let listed = self.listed(cell);
        let gone: Vec<_> = listed
            .iter()
            .filter(|it| did_not_come_about(it, cell, outcome))
            .map(|told| Told {
                test: told.test.clone(),
                why: format!(
                    "xtask/absent.json has it as absent, and it is not ({}): {}",
                    way_out(cell),
                    told.why
                ),
            })
            .collect();
        let (known, unknown) = std::mem::take(&mut outcome.absent)
            .into_iter()
            .partition(|told| listed.contains(told));
        outcome.absent = known;
        outcome.failed.extend(unknown.into_iter().map(|told| Told {
            why: format!(
                "absent, and xtask/absent.json does not have it ({}): {}",
                way_out(cell),
                told.why
            ),
            ..told
        }));
        outcome.failed.extend(gone);
    }

    /// What is to be absent in a cell.
    fn listed(&self, cell: &Cell) -> Vec<Told> {
        let of = |mode| {
            let reasons = self.0.get(&key(cell, mode)).into_iter().flatten();
            reasons.flat_map(|(why, tests)| {
                tests.iter().map(|test| Told {
                    test: test.clone(),
                    why: why.clone(),
                })
            })
        };
        match cell.mode {
            Mode::Auto => of(Mode::Fentry)
                .filter(|told| of(Mode::Kprobe).any(|it| it == *told))
                .collect(),
            mode => of(mode).collect(),
        }
    }
}

/// Whether every test ran, and none failed: an end in the middle is no word on what comes after.
fn is_whole(cell: &Cell, outcome: &Outcome) -> bool {
    cell.work.tests.as_ref().is_some_and(Vec::is_empty) && outcome.failed.is_empty()
}

/// Why `--record` leaves the list of a cell as it is.
pub(crate) fn why_not_taken_over(cell: &Cell, outcome: &Outcome) -> Option<&'static str> {
    match &cell.work.tests {
        _ if cell.mode == Mode::Auto => Some("auto lacks what fentry and kprobe both lack"),
        None => Some("no test ran"),
        Some(named) if !named.is_empty() => Some("only some tests ran"),
        Some(_) if !outcome.failed.is_empty() => Some("a test failed"),
        Some(_) => None,
    }
}

/// What writes the list of a cell.
fn way_out(cell: &Cell) -> &'static str {
    match cell.mode {
        Mode::Auto => "--record --attach fentry --attach kprobe",
        Mode::Fentry | Mode::Kprobe => "--record",
    }
}

fn did_not_come_about(told: &Told, cell: &Cell, outcome: &Outcome) -> bool {
    outcome.passed.contains(&told.test) || is_whole(cell, outcome) && !outcome.absent.contains(told)
}

fn key(cell: &Cell, mode: Mode) -> String {
    let key = format!("{} {mode}", cell.kernel);
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
    use crate::matrix::cell::Work;

    fn cell(mode: Mode) -> Cell {
        Cell {
            kernel: "5.10".into(),
            mode,
            work: Work {
                set: Set::Usual,
                tests: Some(Vec::new()),
                either_way: true,
                verifier: false,
            },
        }
    }

    fn told(test: &str, why: &str) -> Told {
        Told {
            test: test.into(),
            why: why.into(),
        }
    }

    fn absent(all: &[(&str, &str)]) -> Outcome {
        Outcome {
            absent: all.iter().map(|(test, why)| told(test, why)).collect(),
            ..Outcome::default()
        }
    }

    fn recorded(outcomes: &[(Cell, Outcome)]) -> Record {
        let mut record = Record::default();
        record.update(outcomes, &["5.10".into()]);
        record
    }

    fn failures(record: &Record, cell: &Cell, mut outcome: Outcome) -> usize {
        record.hold(cell, &mut outcome);
        outcome.failed.len()
    }

    #[test]
    fn an_absence_that_is_not_on_the_list_is_a_failure() {
        let kprobe = cell(Mode::Kprobe);
        let record = recorded(&[(kprobe.clone(), absent(&[("a", "no helper")]))]);
        let same = absent(&[("a", "no helper")]);
        assert_eq!(failures(&record, &kprobe, same), 0);
        let more = absent(&[("a", "no helper"), ("b", "no helper")]);
        assert_eq!(failures(&record, &kprobe, more), 1);
    }

    #[test]
    fn an_absence_on_the_list_that_does_not_come_about_is_a_failure() {
        let mut kprobe = cell(Mode::Kprobe);
        let record = recorded(&[(kprobe.clone(), absent(&[("a", "no helper")]))]);
        let passed = Outcome {
            passed: vec!["a".into()],
            ..Outcome::default()
        };
        assert_eq!(failures(&record, &kprobe, passed.clone()), 1);
        // Also if no test has this name any more, or another reason is given.
        assert_eq!(failures(&record, &kprobe, Outcome::default()), 1);
        assert_eq!(
            failures(&record, &kprobe, absent(&[("a", "no time")])),
            2,
            "one that is not listed, and a listed one that is gone"
        );
        // What a run of some tests did not try is not known.
        kprobe.work.tests = Some(vec!["held".into()]);
        assert_eq!(failures(&record, &kprobe, Outcome::default()), 0);
        assert_eq!(failures(&record, &kprobe, passed), 1);
    }

    #[test]
    fn auto_lacks_what_both_ways_lack() {
        let both = ("a", "no device");
        let record = recorded(&[
            (cell(Mode::Fentry), absent(&[both, ("b", "7 arguments")])),
            (cell(Mode::Kprobe), absent(&[both])),
        ]);
        assert_eq!(failures(&record, &cell(Mode::Auto), absent(&[both])), 0);
        let fentry_only = absent(&[both, ("b", "7 arguments")]);
        assert_eq!(failures(&record, &cell(Mode::Auto), fentry_only), 1);
    }

    #[test]
    fn a_run_of_some_tests_or_one_that_failed_does_not_change_the_list() {
        let mut some = cell(Mode::Kprobe);
        some.work.tests = Some(vec!["held".into()]);
        let mut failed = absent(&[("a", "no helper")]);
        failed
            .failed
            .push(told("the_guest_comes_to_its_end", "it died"));
        let record = recorded(&[
            (some, absent(&[("a", "no helper")])),
            (cell(Mode::Fentry), failed),
        ]);
        assert_eq!(record, Record::default());
    }

    #[test]
    fn what_a_record_leaves_out_is_told_with_what_would_write_it() {
        let more = absent(&[("a", "no helper")]);
        let why = |mode, outcome: &Outcome| why_not_taken_over(&cell(mode), outcome);
        assert_eq!(why(Mode::Kprobe, &more), None);
        let both = Some("auto lacks what fentry and kprobe both lack");
        assert_eq!(why(Mode::Auto, &more), both);
        for (mode, wanted) in [
            (Mode::Kprobe, "(--record)"),
            (Mode::Auto, "(--record --attach fentry --attach kprobe)"),
        ] {
            let mut outcome = more.clone();
            Record::default().hold(&cell(mode), &mut outcome);
            assert!(outcome.failed[0].why.contains(wanted), "{outcome:?}");
        }
    }

    #[test]
    fn a_kernel_that_is_gone_is_forgotten() {
        let mut record = recorded(&[(cell(Mode::Kprobe), absent(&[("a", "no helper")]))]);
        record.update(&[], &["6.1".into()]);
        assert_eq!(record, Record::default());
    }

    #[test]
    fn the_list_in_the_repository_is_what_a_record_writes() {
        let mut record = Record::read().unwrap();
        let before = record.clone();
        record.update(&[], &crate::kernels::every_series().unwrap());
        assert_eq!(record, before);
    }
}
