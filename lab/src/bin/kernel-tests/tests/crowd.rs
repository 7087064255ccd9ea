//! Who pins nothing changes nothing: a thousand references on a page are no pin of it, and take none away.

use anyhow::{Result, ensure};

use crate::bench::Bench;
use crate::holders::{ask, check_sums, until_pinned};
use crate::wait::Look;
use crate::workload::Stepped;

/// Repairs of pins; plain references may go.
const REPAIRED: &str = "pinscope_repaired_total";
const OF_PINS: [&str; 2] = ["release_missed", "pin_missed"];

pub(super) fn twelve_hundred_sleeping_processes_with_the_pinned_pages_mapped_add_no_pin(
    bench: &Bench,
) -> Result<()> {
    survives_an_audit(bench, &["crowd", "--processes", "1200"])
}

pub(super) fn plain_references_by_the_hundred_add_no_pin_and_take_none_away(
    bench: &Bench,
) -> Result<()> {
    survives_an_audit(bench, &["referenced"])
}

fn survives_an_audit(bench: &Bench, workload: &[&str]) -> Result<()> {
    const ROUNDS: &str = "pinscope_audit_rounds_total";
    let agent = bench.shared_agent(&[])?;
    let repaired = || -> Result<i64> {
        let now = agent.scrape()?;
        let of = |cause| now.sum_with(REPAIRED, &[("cause", cause)]);
        Ok(OF_PINS.map(of).iter().sum())
    };
    let before = repaired()?;
    let mut crowd = Stepped::start(bench, workload)?;
    let pages = crowd.reach("held")?.pages_pinned;
    check_sums(bench, pages, "before an audit")?;

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
    let report = ask(bench, "process", &[])?;
    let rows = report.of_pid(crowd.pid());
    ensure!(
        rows.len() == 1 && rows[0].pins.value == pages && rows[0].guessed_pins == 0,
        "{pages} pins are of process {}: {report:?}",
        crowd.pid()
    );
    let after = repaired()?;
    ensure!(
        after == before,
        "{after} pins were repaired, {before} before"
    );
    dead.finish()?;
    crowd.reach("released")?;
    crowd.finish()?;
    until_pinned(bench, 0)
}
