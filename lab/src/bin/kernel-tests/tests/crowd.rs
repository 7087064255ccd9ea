//! Who pins nothing changes nothing: a thousand mappings of a page are no pin of it.

use anyhow::{Result, ensure};

use crate::bench::Bench;
use crate::holders::{check_sums, until_pinned};
use crate::wait::Look;
use crate::workload::Stepped;

pub(super) fn twelve_hundred_sleeping_processes_with_the_pinned_pages_mapped_add_no_pin(
    bench: &Bench,
) -> Result<()> {
    const REPAIRED: &str = "pinscope_repaired_total";
    const ROUNDS: &str = "pinscope_audit_rounds_total";
    let agent = bench.shared_agent(&[])?;
    let repaired = agent.scrape()?.sum(REPAIRED)?;
    let mut crowd = Stepped::start(bench, &["crowd", "--processes", "1200"])?;
    let pages = crowd.reach("held")?.pages_pinned;
    check_sums(bench, pages, "with a crowd")?;

    // Whose process has ended has the whole ledger looked through at once, several times.
    let mut dead = Stepped::start(bench, &["leak", "--pages", "16"])?;
    let leaked = dead.reach("held")?.pages_pinned;
    let rounds = agent.scrape()?.sum(ROUNDS)?;
    dead.end_and_leave_heirs()?;
    agent.scrape_until("an audit of the ledger", |now| {
        let suspects = now.sum_with("pinscope_leak_suspects", &[("reason", "owner_dead")]);
        let done = now.sum(ROUNDS)? - rounds;
        Ok(if suspects == 1 && done > 0 {
            Look::Done(())
        } else {
            Look::NotYet(format!("{done} rounds, {suspects} suspects"))
        })
    })?;
    check_sums(bench, pages + leaked, "after an audit")?;
    let now = agent.scrape()?;
    ensure!(now.sum(REPAIRED)? == repaired, "{}", now.show(REPAIRED));
    dead.finish()?;
    crowd.reach("released")?;
    crowd.finish()?;
    until_pinned(bench, 0)
}
