//! What the unit's confinement takes of the agent's sight: nothing.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::service::{UNIT, running, scrape};
use crate::systemd::{journal, run};

pub(super) fn it_attaches_every_hook_that_root_could_attach() -> Result<()> {
    running()?;
    let text = run("pinscope", &["doctor", "--format", "json"])?;
    let report: Value = serde_json::from_str(&text).context("the doctor's report is no JSON")?;
    let hooks = report["hooks"].as_array().context("it names no hooks")?;
    let attachable = |it: &&Value| it["state"] == "attachable";
    let name = |it: &Value| it["hook"].as_str().unwrap_or_default().to_owned();
    let could: BTreeSet<_> = hooks.iter().filter(attachable).map(name).collect();
    ensure!(!could.is_empty(), "the doctor finds no hook");
    let scraped = scrape()?;
    // Of a hook that is not needed beside the others nothing is told.
    let told: BTreeSet<_> = scraped
        .label_values("pinscope_hook_attached", "hook")
        .into_iter()
        .collect();
    let attached = |hook: &str| scraped.sum_with("pinscope_hook_attached", &[("hook", hook)]) == 1;
    let missing: Vec<_> = could
        .iter()
        .filter(|hook| told.contains(hook.as_str()) && !attached(hook))
        .collect();
    if !missing.is_empty() {
        bail!("not as a service: {missing:?}; its log: {}", journal(UNIT)?);
    }
    let untested = scraped.sum_with("pinscope_hook_selftest", &[("outcome", "untested")]);
    println!(
        "note {} hooks, of which {untested} are untested",
        told.len()
    );
    Ok(())
}
