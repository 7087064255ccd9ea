//! The other half of the truth: stores and writeback with nothing pinned at all.

use anyhow::{Result, ensure};

use crate::agent::Agent;
use crate::bench::Bench;
use crate::workload;

pub(super) fn nothing_pinned_means_no_pinned_verdict_and_an_empty_ledger(
    bench: &Bench,
) -> Result<()> {
    let agent = Agent::start(bench, &[])?;
    let before = agent.scrape()?;
    let counts = workload::run(bench, &["dirty", "--folios", "small"])?;
    let race = workload::run(bench, &["zap-race", "--readers", "0", "--race", "1s"])?;
    ensure!(
        race.pages_pinned == 0,
        "the workload pinned something: {race:?}"
    );
    let now = agent.scrape()?;
    let walks = "pinscope_mkclean_walks_total";
    let grown = now.sum(walks)? - before.sum(walks)?;
    ensure!(
        grown >= counts.walks_unpinned,
        "the workload caused {} walks, the agent saw {grown}",
        counts.walks_unpinned
    );
    let pinned = now.sum_with("pinscope_verdicts_total", &[("kernel", "pinned")]);
    ensure!(
        pinned == 0,
        "the kernel said pinned {pinned} times: {}",
        now.show("pinscope_verdicts_total")
    );
    for gauge in [
        "pinscope_pinned_pages",
        "pinscope_pinned_folios",
        "pinscope_pinned_bytes",
    ] {
        let value = now.sum(gauge)?;
        ensure!(value == 0, "{gauge} is {value} with nothing pinned");
    }
    agent.end()
}
