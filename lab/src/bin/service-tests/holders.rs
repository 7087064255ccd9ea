//! What `pinscope pins` says of who holds what. It judges nothing.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::service::PATIENCE;
use crate::systemd::run;
use crate::wait::{Look, until};

/// A report.
#[derive(Debug, Deserialize)]
pub(crate) struct Report {
    pub(crate) pinned_pages: i64,
    pub(crate) rows: Vec<Row>,
}

/// A line of it.
#[derive(Debug, Deserialize)]
pub(crate) struct Row {
    pub(crate) pages: i64,
    #[serde(default)]
    pub(crate) suspected: Vec<String>,
    /// What it is about, under the name of the way that was asked for.
    #[serde(flatten)]
    pub(crate) about: BTreeMap<String, Value>,
}

/// Asks the service.
pub(crate) fn ask(by: &str) -> Result<Report> {
    let text = run("pinscope", &["pins", "--by", by, "--format", "json"])?;
    serde_json::from_str(&text).with_context(|| format!("not a report of pins: {text}"))
}

/// Pins that a kernel worker gives back go some time after their holder.
pub(crate) fn until_nothing_is_held() -> Result<Report> {
    until("the release of all pins", PATIENCE, || {
        let report = ask("process").context("the service does not answer")?;
        Ok(match report.pinned_pages {
            0 => Look::Done(report),
            pages => Look::NotYet(format!("{pages} pages are pinned: {report:?}")),
        })
    })
}
