//! What `pinscope pins` says of who holds what. It judges nothing.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::systemd::run;

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
