//! What `pinscope pins` says of who holds what, read as any script would read it.
//! It judges nothing.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::Value;

use crate::agent::run_to_end;
use crate::bench::Bench;
use crate::wait::{Look, until};

/// Everything that a report can be by.
pub(crate) const EVERY_WAY: [&str; 6] =
    ["process", "cgroup", "memcg", "subsystem", "file", "stack"];

/// A report.
#[derive(Debug, Deserialize)]
pub(crate) struct Report {
    pub(crate) pinned_pages: i64,
    pub(crate) vmstat_pages: i64,
    pub(crate) sampled_one_in: u64,
    pub(crate) rows: Vec<Row>,
    other: Option<Rest>,
}

/// A line of it.
#[derive(Debug, Deserialize)]
pub(crate) struct Row {
    pub(crate) pages: i64,
    pub(crate) error_bytes: Option<i64>,
    pub(crate) folios: i64,
    #[serde(default)]
    pub(crate) suspected: Vec<String>,
    /// What it is about, under the name of the way that was asked for.
    #[serde(flatten)]
    pub(crate) about: BTreeMap<String, Value>,
}

#[derive(Debug, Deserialize)]
struct Rest {
    pages: i64,
}

impl Report {
    /// Pages over all rows, also those that were added up.
    pub(crate) fn sum(&self) -> i64 {
        let shown: i64 = self.rows.iter().map(|row| row.pages).sum();
        shown + self.other.as_ref().map_or(0, |rest| rest.pages)
    }

    /// The rows of one process, whatever it was called and whether it lives.
    pub(crate) fn of_pid(&self, pid: u32) -> Vec<&Row> {
        let rows = self.rows.iter();
        rows.filter(|row| row.about["process"]["pid"] == pid)
            .collect()
    }

    /// Pages of the one row that is about `name`; 0 without one.
    pub(crate) fn pages_of(&self, by: &str, name: &str) -> i64 {
        let rows = self.rows.iter();
        rows.filter(|row| row.about[by] == name)
            .map(|row| row.pages)
            .sum()
    }
}

/// Asks the running agent.
pub(crate) fn ask(bench: &Bench, by: &str, more: &[&str]) -> Result<Report> {
    let arguments = [&["pins", "--by", by, "--format", "json"], more].concat();
    let ended = run_to_end(bench, &arguments, |_command| {})?;
    ensure!(
        ended.status.success(),
        "pinscope {} ended with {}: {}",
        arguments.join(" "),
        ended.status,
        ended.log
    );
    serde_json::from_str(&ended.output)
        .with_context(|| format!("not a report of pins: {}", ended.output))
}

/// By subsystem, once the agent has names for every call path: it reads the kernel's list of
/// functions soon after its start, and again after a module was loaded.
pub(crate) fn by_subsystem(bench: &Bench) -> Result<Report> {
    until("the names of call paths", bench.patience, || {
        let report = ask(bench, "subsystem", &[])?;
        Ok(match report.pages_of("subsystem", "unknown") {
            0 => Look::Done(report),
            pages => Look::NotYet(format!("{pages} pages: {report:?}")),
        })
    })
}

/// Waits until the kernel has no more than `pages` pinned: what a dead process had is given back by
/// a worker.
pub(crate) fn until_pinned(bench: &Bench, pages: i64) -> Result<()> {
    until("the release of pins", bench.patience, || {
        let report = ask(bench, "process", &[])?;
        Ok(if report.vmstat_pages <= pages {
            Look::Done(())
        } else {
            Look::NotYet(format!("{pages} are to be left: {report:?}"))
        })
    })
}

/// By whatever it is asked for, the rows add up to the total, also where that lacks what the
/// kernel kept from the probes. Nothing may be negative.
pub(crate) fn check_parts(bench: &Bench) -> Result<()> {
    for by in EVERY_WAY {
        let report = ask(bench, by, &[])?;
        ensure!(
            report.sum() == report.pinned_pages && report.rows.iter().all(|row| row.pages > 0),
            "by {by}: {report:?}"
        );
    }
    Ok(())
}

/// At a quiet point: by whatever it is asked for, the rows add up to the total, and the total is
/// what the kernel counted and what is found pinned. Nothing may be negative.
pub(crate) fn check_sums(bench: &Bench, pages: i64, when: &str) -> Result<()> {
    let found = bench.witnessed()?;
    ensure!(
        found.pins == pages.cast_unsigned(),
        "{when}: {pages} pages are pinned, found were {found:?}"
    );
    for by in EVERY_WAY {
        let report = ask(bench, by, &[])?;
        ensure!(
            report.sum() == pages
                && report.pinned_pages == pages
                && report.vmstat_pages == pages
                && report.sampled_one_in == 1
                && report.rows.iter().all(|row| row.pages > 0),
            "{when}: {pages} pages are pinned; by {by}: {report:?}"
        );
    }
    Ok(())
}
