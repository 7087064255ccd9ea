//! No loss is silent: each walk that is worth a sample is delivered or counted as lost,
//! by the workload's own count of walks.

use anyhow::{Result, ensure};
use rustix::process::Signal;

use crate::agent::Agent;
use crate::bench::{Bench, SMALL_LEDGER_SMALL_RING};
use crate::metrics::Metrics;
use crate::wait::Look;
use crate::workload;

const FLOOD: [&str; 5] = ["ring-flood", "--pages", "2048", "--rounds", "5"];

pub(super) fn a_4_kib_ring_under_load_delivers_or_counts_every_sample(bench: &Bench) -> Result<()> {
    let agent = bench.shared_agent(&SMALL_LEDGER_SMALL_RING)?;
    let before = agent.scrape()?;
    let counts = workload::run(bench, &FLOOD)?;
    fate(&agent, &before, counts.walks_pinned)?;
    Ok(())
}

/// An agent that does not read at all makes the loss certain.
pub(super) fn samples_for_a_stopped_agent_are_counted_as_lost(bench: &Bench) -> Result<()> {
    let agent = bench.shared_agent(&SMALL_LEDGER_SMALL_RING)?;
    let before = agent.scrape()?;
    agent.signal(Signal::STOP)?;
    let flooded = workload::run(bench, &FLOOD);
    agent.signal(Signal::CONT)?;
    let walks = flooded?.walks_pinned;
    let (delivered, lost) = fate(&agent, &before, walks)?;
    ensure!(
        lost > delivered,
        "a ring of 4 KiB that nobody read delivered {delivered} samples and lost {lost}"
    );
    Ok(())
}

/// How many samples were delivered and how many lost, once that is all of them. The walks are
/// the workload's own count of those that meet a pin; folios that were pinned before and have
/// come to be others since give a few samples more.
fn fate(agent: &Agent, before: &Metrics, walks: i64) -> Result<(i64, i64)> {
    let grown = |now: &Metrics, name| Ok::<_, anyhow::Error>(now.sum(name)? - before.sum(name)?);
    let full = |it: &Metrics| it.sum_with("pinscope_lost_total", &[("cause", "ring_full")]);
    let (issued, delivered, lost) = agent.scrape_until("every sample's fate", |now| {
        let issued = grown(now, "pinscope_samples_issued_total")?;
        let delivered = grown(now, "pinscope_samples_judged_total")?;
        let lost = full(now) - full(before);
        Ok(if delivered + lost >= issued.max(walks) {
            Look::Done((issued, delivered, lost))
        } else {
            Look::NotYet(format!(
                "{walks} walks met a pin, {issued} samples were issued, {delivered} delivered, \
                 {lost} lost; {}; {}",
                now.show("pinscope_mkclean_walks_total"),
                now.show("pinscope_lost_total")
            ))
        })
    })?;
    ensure!(
        delivered + lost == issued && issued >= walks,
        "{walks} walks met a pin, {issued} samples were issued, {delivered} delivered, {lost} lost"
    );
    Ok((delivered, lost))
}
