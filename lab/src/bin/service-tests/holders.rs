//! What `pinscope pins` says of who holds what. It judges nothing.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::moment;
use crate::service::PATIENCE;
use crate::systemd::run;
use crate::wait::{Look, until};

/// A report.
#[derive(Debug, Deserialize)]
pub(crate) struct Report {
    taken_unix_seconds: f64,
    pub(crate) pins: i64,
    pub(crate) rows: Vec<Row>,
}

/// A line of it.
#[derive(Debug, Deserialize)]
pub(crate) struct Row {
    pins: Figure,
    #[serde(default)]
    pub(crate) suspected: Vec<String>,
    /// What it is about, under the name of the way that was asked for.
    #[serde(flatten)]
    pub(crate) about: BTreeMap<String, Value>,
}

/// A figure, exact or an estimate.
#[derive(Debug, Deserialize)]
struct Figure {
    value: i64,
}

impl Row {
    /// Pins, one a page.
    pub(crate) const fn pins(&self) -> i64 {
        self.pins.value
    }
}

/// Asks the service; what it says is of after whatever was done last.
pub(crate) fn ask(by: &str) -> Result<Report> {
    until("a report of now", PATIENCE, || {
        let text = run("pinscope", &["pins", "--by", by, "--format", "json"])?;
        let report: Report =
            serde_json::from_str(&text).with_context(|| format!("not a report of pins: {text}"))?;
        Ok(if moment::is_shown_by(report.taken_unix_seconds) {
            Look::Done(report)
        } else {
            Look::NotYet(format!("it is of {}", report.taken_unix_seconds))
        })
    })
}

/// Pins that a kernel worker releases go some time after their holder.
pub(crate) fn until_nothing_is_held() -> Result<Report> {
    until("the release of all pins", PATIENCE, || {
        let report = ask("process").context("the service does not answer")?;
        Ok(match report.pins {
            0 => Look::Done(report),
            pins => Look::NotYet(format!("{pins} pins are held: {report:?}")),
        })
    })
}
