//! No loss is silent: each walk that is worth a sample is delivered or counted as lost,
//! by the workload's own count of walks.

use anyhow::{Result, ensure};
use rustix::process::Signal;

use crate::agent::Agent;
use crate::bench::Bench;
use crate::metrics::Metrics;
use crate::wait::Look;
use crate::workload;

const FLOOD: [&str; 5] = ["ring-flood", "--pages", "2048", "--rounds", "5"];

pub(super) fn a_4_kib_ring_under_load_delivers_or_counts_every_sample(bench: &Bench) -> Result<()> {
    let agent = Agent::start(bench, &["--ring-bytes", "4096"])?;
    let before = agent.scrape()?;
    let counts = workload::run(bench, &FLOOD)?;
    check_conservation(&agent, &before, counts.walks_pinned)?;
    agent.end()
}

/// An agent that does not read at all makes the loss certain.
pub(super) fn samples_for_a_stopped_agent_are_counted_as_lost(bench: &Bench) -> Result<()> {
    let agent = Agent::start(bench, &["--ring-bytes", "4096"])?;
    let before = agent.scrape()?;
    agent.signal(Signal::STOP)?;
    let flooded = workload::run(bench, &FLOOD);
    agent.signal(Signal::CONT)?;
    let walks = flooded?.walks_pinned;
    let (delivered, lost) = check_conservation(&agent, &before, walks)?;
    ensure!(
        lost > delivered,
        "a ring of 4 KiB that nobody read delivered {delivered} samples and lost {lost}"
    );
    agent.end()
}

fn check_conservation(agent: &Agent, before: &Metrics, issued: i64) -> Result<(i64, i64)> {
    let judged = "pinscope_samples_judged_total";
    let full = [("cause", "ring_full")];
    let (judged_before, lost_before) = (
        before.sum(judged)?,
        before.sum_with("pinscope_lost_total", &full),
    );
    let (delivered, lost) = agent.scrape_until("every sample's fate", |now| {
        let delivered = now.sum(judged)? - judged_before;
        let lost = now.sum_with("pinscope_lost_total", &full) - lost_before;
        Ok(if delivered + lost >= issued {
            Look::Done((delivered, lost))
        } else {
            Look::NotYet(format!(
                "{issued} were issued, {delivered} delivered, {lost} lost; {}; {}",
                now.show("pinscope_mkclean_walks_total"),
                now.show("pinscope_lost_total")
            ))
        })
    })?;
    ensure!(
        delivered + lost == issued,
        "{issued} samples were issued, {delivered} delivered, {lost} lost"
    );
    Ok((delivered, lost))
}
