//! What the verifier makes of each program on each kernel: instructions it looks at, or a refusal.
//! A table in the repository, against which a run is held. Leaves out loading them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Write as _},
    fs,
    path::PathBuf,
};

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::cell::{Cell, Outcome};
use crate::{kernels, paths};

/// More than this share more, or this many more, is a jump; a few dozen more is neither.
const JUMP_PERCENT: u64 = 25;
const JUMP: u64 = 100_000;
const NO_JUMP: u64 = 1_000;

const HEAD: &str = "\
# Instructions that each kernel's verifier looks at, by program; `refused`: it is not loaded there,
# `unsaid`: the kernel does not say (before Linux 5.16), `-`: the plan does not ask for it.
# Written by `cargo xtask matrix --record`.
";

/// What became of one program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verified {
    Instructions(u64),
    Unsaid,
    Refused,
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instructions(number) => f.pad(&number.to_string()),
            Self::Unsaid => f.pad("unsaid"),
            Self::Refused => f.pad("refused"),
        }
    }
}

/// A program by its name.
pub(crate) type Program = (String, Verified);

/// What a line of `pinscope verify` tells.
pub(crate) enum Line {
    Facts(Value),
    Program(Program),
}

impl Line {
    pub(crate) fn read(line: &str) -> anyhow::Result<Self> {
        let mut told: Value =
            serde_json::from_str(line).with_context(|| format!("not of a verifier: {line}"))?;
        if let Some(facts) = told.get_mut("facts") {
            return Ok(Self::Facts(facts.take()));
        }
        let name = told["program"].as_str().context("a program has a name")?;
        let verified = match (told.get("refused"), told["instructions"].as_u64()) {
            (Some(_), _) => Verified::Refused,
            (None, Some(number)) => Verified::Instructions(number),
            (None, None) => Verified::Unsaid,
        };
        Ok(Self::Program((name.to_owned(), verified)))
    }
}

/// The whole table: kernel to program to what became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record(BTreeMap<String, BTreeMap<String, Verified>>);

impl Record {
    pub(crate) fn read() -> anyhow::Result<Self> {
        let text = fs::read_to_string(path()).unwrap_or_default();
        Self::parse(&text).context("hooks/facts/verifier.txt is damaged")
    }

    pub(crate) fn write(&self) -> anyhow::Result<()> {
        fs::write(path(), self.render()).context("cannot write hooks/facts/verifier.txt")
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let mut lines = text.lines().filter(|line| !line.starts_with('#'));
        let kernels: Vec<_> = lines
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        let mut record = Self::default();
        for line in lines {
            let mut words = line.split_whitespace();
            let Some(program) = words.next() else {
                continue;
            };
            for (kernel, word) in kernels.iter().skip(1).zip(words) {
                let verified = match word {
                    "-" => continue,
                    "refused" => Verified::Refused,
                    "unsaid" => Verified::Unsaid,
                    number => match number.parse() {
                        Ok(number) => Verified::Instructions(number),
                        Err(_) => bail!("{program} on {kernel}: {number}"),
                    },
                };
                record.add(kernel, program, verified);
            }
        }
        Ok(record)
    }

    fn add(&mut self, kernel: &str, program: &str, verified: Verified) {
        self.0
            .entry(kernel.to_owned())
            .or_default()
            .insert(program.to_owned(), verified);
    }

    fn render(&self) -> String {
        let mut kernels: Vec<_> = self.0.keys().collect();
        kernels.sort_by_key(|kernel| kernels::order(kernel));
        let programs: BTreeSet<_> = self.0.values().flat_map(BTreeMap::keys).collect();
        let width = programs.iter().map(|it| it.len()).max().unwrap_or(0);
        let mut text = format!("{HEAD}{:<width$}", "program");
        for kernel in &kernels {
            let _ = write!(text, " {kernel:>8}");
        }
        text.push('\n');
        for program in programs {
            let _ = write!(text, "{program:<width$}");
            for kernel in &kernels {
                match self.0[*kernel].get(program) {
                    Some(verified) => drop(write!(text, " {verified:>8}")),
                    None => drop(write!(text, " {:>8}", "-")),
                }
            }
            text.push('\n');
        }
        text
    }

    /// Takes over what `outcomes` found out, kernel by kernel.
    pub(crate) fn update(&mut self, outcomes: &[(Cell, Outcome)]) {
        for (cell, outcome) in outcomes.iter().filter(|(cell, _)| cell.work.verifier) {
            self.0.remove(&cell.kernel);
            for (program, verified) in &outcome.programs {
                self.add(&cell.kernel, program, *verified);
            }
        }
    }

    /// Programs that one kernel's verifier takes and the other does not, or at another price.
    pub(crate) fn between(&self, old: &str, new: &str) -> Vec<String> {
        let nothing = BTreeMap::new();
        let of = |kernel| self.0.get(kernel).unwrap_or(&nothing);
        let (old, new) = (of(old), of(new));
        let names: BTreeSet<_> = old.keys().chain(new.keys()).collect();
        let mut lines = Vec::new();
        for name in names {
            match (old.get(name), new.get(name)) {
                (None, Some(now)) => lines.push(format!("{name}: new, {now}")),
                (Some(_), None) => lines.push(format!("{name}: not asked for")),
                (Some(before), Some(now)) if is_worse(*before, *now) || is_worse(*now, *before) => {
                    lines.push(format!("{name}: {before} -> {now}"));
                }
                (Some(_), Some(_)) | (None, None) => {}
            }
        }
        lines
    }

    /// Holds `outcomes` against the table.
    pub(crate) fn check(&self, outcomes: &[(Cell, Outcome)]) -> Findings {
        let mut findings = Findings::default();
        for (cell, outcome) in outcomes.iter().filter(|(cell, _)| cell.work.verifier) {
            let kernel = &cell.kernel;
            for (program, now) in &outcome.programs {
                let before = self.0.get(kernel).and_then(|it| it.get(program));
                match (before, now) {
                    (None, now) => findings.new.push(format!("{kernel} {program}: {now}")),
                    (Some(before), now) if is_worse(*before, *now) => findings
                        .worse
                        .push(format!("{kernel} {program}: {now} instead of {before}")),
                    (Some(_), _) => {}
                }
            }
        }
        findings
    }
}

/// What differs from the table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    /// Jumps, and refusals of what was taken.
    pub(crate) worse: Vec<String>,
    /// What the table does not have.
    pub(crate) new: Vec<String>,
}

fn is_worse(before: Verified, now: Verified) -> bool {
    match (before, now) {
        (Verified::Instructions(before), Verified::Instructions(now)) => {
            let more = now.saturating_sub(before);
            more > JUMP || (more > NO_JUMP && more * 100 > before * JUMP_PERCENT)
        }
        (Verified::Refused, _) | (_, Verified::Unsaid) => false,
        (Verified::Unsaid, Verified::Instructions(_)) => false,
        (Verified::Instructions(_) | Verified::Unsaid, Verified::Refused) => true,
    }
}

fn path() -> PathBuf {
    paths::root().join("hooks/facts/verifier.txt")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::cell::{Mode, Set, Work};

    fn found(programs: &[(&str, Verified)]) -> Vec<(Cell, Outcome)> {
        let cell = Cell {
            kernel: "6.12".into(),
            mode: Mode::Fentry,
            work: Work {
                set: Set::Usual,
                tests: None,
                either_way: false,
                verifier: true,
            },
        };
        let outcome = Outcome {
            programs: programs
                .iter()
                .map(|(name, it)| ((*name).to_owned(), *it))
                .collect(),
            ..Outcome::default()
        };
        vec![(cell, outcome)]
    }

    fn recorded(programs: &[(&str, Verified)]) -> Record {
        let mut record = Record::default();
        record.update(&found(programs));
        record
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut record = recorded(&[("a", Verified::Instructions(7)), ("b", Verified::Refused)]);
        record.add("5.10", "a", Verified::Unsaid);
        assert_eq!(Record::parse(&record.render()).unwrap(), record);
        assert!(record.render().contains("    5.10     6.12\n"));
    }

    #[test]
    fn a_jump_and_a_refusal_are_worse_and_a_little_more_is_not() {
        let record = recorded(&[
            ("small", Verified::Instructions(50)),
            ("large", Verified::Instructions(800_000)),
            ("middle", Verified::Instructions(10_000)),
        ]);
        let check = |program, now| record.check(&found(&[(program, now)])).worse.len();
        assert_eq!(check("small", Verified::Instructions(90)), 0);
        assert_eq!(check("middle", Verified::Instructions(12_000)), 0);
        assert_eq!(check("middle", Verified::Instructions(12_600)), 1);
        assert_eq!(check("large", Verified::Instructions(901_000)), 1);
        assert_eq!(check("small", Verified::Refused), 1);
    }

    #[test]
    fn a_program_that_the_table_does_not_have_is_new() {
        let findings = Record::default().check(&found(&[("a", Verified::Instructions(1))]));
        assert_eq!(findings.new, ["6.12 a: 1"]);
        assert!(findings.worse.is_empty());
    }
}
