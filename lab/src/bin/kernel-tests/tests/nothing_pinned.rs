//! The other half of the truth: stores and writeback with nothing pinned at all.

use anyhow::{Result, ensure};

use crate::bench::Bench;
use crate::workload;

const VERDICTS: &str = "pinscope_verdicts_total";

pub(super) fn nothing_pinned_means_no_pinned_verdict_and_a_ledger_that_stays_as_it_is(
    bench: &Bench,
) -> Result<()> {
    let agent = bench.shared_agent(&[])?;
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
        grown >= counts.walks_not_pinned,
        "the workload caused {} walks, the agent saw {grown}",
        counts.walks_not_pinned
    );
    let pinned = [("kernel", "pinned")];
    let said = now.sum_with(VERDICTS, &pinned) - before.sum_with(VERDICTS, &pinned);
    ensure!(
        said == 0,
        "the kernel said pinned {said} times: {}",
        now.show(VERDICTS)
    );
    for gauge in [
        "pinscope_pins",
        "pinscope_pinned_folios",
        "pinscope_pinned_bytes",
    ] {
        let (was, is) = (before.sum(gauge)?, now.sum(gauge)?);
        ensure!(
            is == was,
            "{gauge} went from {was} to {is} with nothing pinned"
        );
    }
    Ok(())
}
