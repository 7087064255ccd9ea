//! What `pinscope pins` says of who holds what, read as any script would read it.
//! It judges nothing.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use serde::Deserialize;
use serde_json::Value;

use crate::agent::answer;
use crate::bench::Bench;
use crate::books::SETTLED_WITHIN;
use crate::moment;
use crate::wait::{Look, until};

/// Everything that a report can be by.
pub(crate) const EVERY_WAY: [&str; 7] = [
    "process",
    "user",
    "cgroup",
    "memcg",
    "subsystem",
    "file",
    "stack",
];

/// A report.
#[derive(Debug, Deserialize)]
pub(crate) struct Report {
    taken_unix_seconds: f64,
    pub(crate) pins: i64,
    pub(crate) folios: Figure,
    pub(crate) bytes: Figure,
    pub(crate) kernel_pins: i64,
    pub(crate) preexisting_pins: i64,
    pub(crate) unreconciled_pins: i64,
    pub(crate) in_flight: InFlight,
    pub(crate) sampling_ratio: f64,
    pub(crate) rows: Vec<Row>,
    other: Option<Rest>,
}

/// A figure, with its error where it is an estimate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Figure {
    pub(crate) value: i64,
    pub(crate) error: Option<i64>,
}

/// Calls under way.
#[derive(Debug, Deserialize)]
pub(crate) struct InFlight {
    pub(crate) calls: i64,
    pub(crate) pages: i64,
    pub(crate) oldest_seconds: f64,
    pub(crate) oldest: Vec<Call>,
}

/// One of them.
#[derive(Debug, Deserialize)]
pub(crate) struct Call {
    pub(crate) pid: u32,
    pub(crate) comm: String,
    pub(crate) pages: i64,
}

/// A line of it.
#[derive(Debug, Deserialize)]
pub(crate) struct Row {
    pub(crate) pins: Figure,
    pub(crate) bytes: Figure,
    pub(crate) folios: Figure,
    pub(crate) oldest_seconds: f64,
    #[serde(default)]
    pub(crate) guessed_pins: i64,
    #[serde(default)]
    pub(crate) preexisting_pins: i64,
    #[serde(default)]
    pub(crate) suspected: Vec<String>,
    pub(crate) releases_per_second: Option<i64>,
    /// What it is about, under the name of the way that was asked for.
    #[serde(flatten)]
    pub(crate) about: BTreeMap<String, Value>,
}

#[derive(Debug, Deserialize)]
struct Rest {
    pins: i64,
    bytes: i64,
}

impl Report {
    /// Pins over all rows, also those that were added up.
    pub(crate) fn sum(&self) -> i64 {
        let shown: i64 = self.rows.iter().map(|row| row.pins.value).sum();
        shown + self.other.as_ref().map_or(0, |rest| rest.pins)
    }

    /// Their memory.
    pub(crate) fn sum_of_bytes(&self) -> i64 {
        let shown: i64 = self.rows.iter().map(|row| row.bytes.value).sum();
        shown + self.other.as_ref().map_or(0, |rest| rest.bytes)
    }

    /// The rows of one process, whatever it was called and whether it lives.
    pub(crate) fn of_pid(&self, pid: u32) -> Vec<&Row> {
        let rows = self.rows.iter();
        rows.filter(|row| row.about["process"]["pid"] == pid)
            .collect()
    }

    /// Pins of the rows that are about `name`; 0 without one.
    pub(crate) fn pins_of(&self, by: &str, name: &str) -> i64 {
        let rows = self.rows.iter();
        rows.filter(|row| row.about[by] == name)
            .map(|row| row.pins.value)
            .sum()
    }
}

impl Row {
    /// Pins, folios and bytes.
    pub(crate) fn figures(&self) -> [i64; 3] {
        [self.pins.value, self.folios.value, self.bytes.value]
    }
}

/// Asks the running agent; what it says is of after whatever was done last.
pub(crate) fn ask(bench: &Bench, by: &str, more: &[&str]) -> Result<Report> {
    let arguments = [&["pins", "--by", by, "--format", "json"], more].concat();
    until("a report of now", bench.patience, || {
        let report: Report = answer(bench, &arguments)?;
        Ok(if moment::is_shown_by(report.taken_unix_seconds) {
            Look::Done(report)
        } else {
            Look::NotYet(format!("it is of {}", report.taken_unix_seconds))
        })
    })
}

/// By subsystem, once the agent has names for every call path: it reads the kernel's list of
/// functions soon after its start, and again after a module was loaded.
pub(crate) fn by_subsystem(bench: &Bench) -> Result<Report> {
    until("the names of call paths", bench.patience, || {
        let report = ask(bench, "subsystem", &[])?;
        Ok(match report.pins_of("subsystem", "unknown") {
            0 => Look::Done(report),
            pins => Look::NotYet(format!("{pins} pins: {report:?}")),
        })
    })
}

/// Waits until the kernel has no more than `pins`: what a dead process had is released by a
/// worker.
pub(crate) fn until_pinned(bench: &Bench, pins: i64) -> Result<()> {
    until("the release of pins", SETTLED_WITHIN, || {
        let report = ask(bench, "process", &[])?;
        Ok(if report.kernel_pins <= pins && report.pins <= pins {
            Look::Done(())
        } else {
            Look::NotYet(format!("{pins} are to be left: {report:?}"))
        })
    })
}

impl InFlight {
    /// Who asks is executed, and the kernel takes the pages of its arguments by a call of the family;
    /// it has our name still, or its own by then.
    fn is_of_who_asks(&self) -> bool {
        let asks = |it: &Call| ["pinscope", "kernel-tests"].contains(&it.comm.as_str());
        self.calls == self.oldest.len() as i64 && self.oldest.iter().all(asks)
    }
}

/// At a quiet point: by whatever it is asked for, the rows add up to the total, in pins and in
/// memory, and the total is what the kernel counted and what is found pinned. Nothing may be
/// negative.
pub(crate) fn check_sums(bench: &Bench, pins: i64, when: &str) -> Result<()> {
    let found = bench.witnessed()?;
    ensure!(
        found.pins == pins.cast_unsigned(),
        "{when}: {pins} pages are pinned, found were {found:?}"
    );
    let (folios, bytes) = (found.folios.cast_signed(), found.bytes.cast_signed());
    for by in EVERY_WAY {
        let report = ask(bench, by, &[])?;
        let figures = [report.pins, report.folios.value, report.bytes.value];
        ensure!(
            figures == [pins, folios, bytes]
                && report.kernel_pins == pins
                && report.unreconciled_pins == 0
                && report.preexisting_pins == 0
                && report.in_flight.is_of_who_asks()
                && report.sampling_ratio == 1.0,
            "{when}: {pins} pins on {folios} folios of {bytes} bytes; by {by}: {report:?}"
        );
        ensure!(
            report.sum() == pins
                && report.sum_of_bytes() == bytes
                && report
                    .rows
                    .iter()
                    .all(|row| row.pins.value > 0 && row.bytes.value > 0),
            "{when}: the rows are not the whole, {figures:?}; by {by}: {report:?}"
        );
    }
    Ok(())
}
