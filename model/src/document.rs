//! The generated parts of `docs/estimators.md`, between markers.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use estimator::{AsWritten, Estimator};

use crate::finding::Finding;
use crate::mutation::mutants;
use crate::scenario::{Lock, Scenario, Setting, Size};
use crate::search::search;
use crate::table::{Effort, compact, markdown, rows};
use crate::text;

/// A part that a command writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// The table of what the tests search.
    Quick,
    /// The table of what the command searches.
    Full,
    /// The shortest traces to the findings that the text names.
    Traces,
    /// The mutation check.
    Mutants,
}

impl Block {
    fn name(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Full => "full",
            Self::Traces => "traces",
            Self::Mutants => "mutants",
        }
    }

    fn markers(self) -> (String, String) {
        let name = self.name();
        (
            format!("<!-- model: {name} -->\n"),
            format!("<!-- model: {name} ends -->"),
        )
    }
}

/// What belongs between the markers.
#[must_use]
pub fn generate(block: Block) -> String {
    match block {
        Block::Quick => compact(&rows(Effort::Quick, None)),
        Block::Full => markdown(&rows(Effort::Full, None)),
        Block::Traces => named_traces(),
        Block::Mutants => text::mutants(&mutants()),
    }
}

/// The document.
pub fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// What stands between the markers.
pub fn part(text: &str, block: Block) -> Result<&str> {
    let (begin, end) = block.markers();
    text.split_once(&begin)
        .and_then(|(_, rest)| rest.split_once(&end))
        .map(|(part, _)| part)
        .with_context(|| format!("no markers `{}` and `{end}`", begin.trim()))
}

/// The document with another text between the markers.
pub fn with(text: &str, block: Block, fresh: &str) -> Result<String> {
    let old = part(text, block)?;
    let (begin, end) = block.markers();
    Ok(text.replacen(
        &format!("{begin}{old}{end}"),
        &format!("{begin}{fresh}{end}"),
        1,
    ))
}

/// The findings that are told event by event: estimator, setting, lock, finding.
pub const NAMED: [(Estimator, Setting, Lock, Finding); 10] = [
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
        Setting::Plain,
        Lock::Absent,
        Finding::FalsePositiveByZap,
    ),
    (
        Estimator::TwoWalkFixed,
        Setting::Freed,
        Lock::Held,
        Finding::FalseNegativeByZap,
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
        Estimator::Ordered,
        Setting::Early,
        Lock::Held,
        Finding::FalseNegativeByGup,
    ),
    (
        Estimator::ExpectedRefs,
        Setting::Large,
        Lock::Held,
        Finding::FalseNegativeByZap,
    ),
    (
        Estimator::Kernel,
        Setting::Plain,
        Lock::Held,
        Finding::FalsePositiveByGup,
    ),
];

fn named_traces() -> String {
    let mut out = String::new();
    for (estimator, setting, lock, finding) in NAMED {
        let scenario = Scenario {
            estimator,
            lock,
            setting,
            size: Size::SMALL,
        };
        let mut traces = search(scenario, AsWritten).traces;
        let Some(trace) = traces.remove(&finding) else {
            continue;
        };
        let (name, setting, held) = (estimator.name(), setting.name(), lock.name());
        let _ = writeln!(out, "`{name}`, {setting}, lock {held}:\n\n```text");
        let _ = write!(
            out,
            "{}",
            text::traces(&BTreeMap::from([(finding, trace)]), lock).trim_end()
        );
        out.push_str("\n```\n\n");
    }
    out
}
