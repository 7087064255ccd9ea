//! Pins from before the agent: a census at its start finds them, and from then on they are in the
//! ledger like all others. So an agent that is started anew knows what the one before it knew.

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use crate::agent::Agent;
use crate::bench::Bench;
use crate::holders::{ask, check_sums, until_pinned};
use crate::metrics::Metrics;
use crate::wait::Look;
use crate::workload::Stepped;

pub(super) const CENSUS: [&str; 2] = ["--census-cpu-percent", "20"];
const BEFORE: &str = "pinscope_preexisting_pins";
const ENTERED: &str = "pinscope_census_pins_entered_total";
const UNKNOWN_RELEASE: [(&str, &str); 1] = [("cause", "unknown_release")];

/// Waits for the end of the census at the start.
pub(super) fn census(agent: &Agent) -> Result<Metrics> {
    agent.scrape_until("the end of the census at the start", |now| {
        let done = now.sum_with("pinscope_census_state", &[("state", "done")]);
        Ok(match done {
            1 => Look::Done(now.clone()),
            _ => Look::NotYet(format!(
                "{}; {} pins are from before",
                now.show("pinscope_census_state"),
                now.sum(BEFORE)?
            )),
        })
    })
}

pub(super) fn what_was_pinned_before_the_start_is_in_the_ledger_after_a_census(
    bench: &Bench,
) -> Result<()> {
    bench.end_shared()?;
    let mut ring = Stepped::start(bench, &["uring-fixed", "--pages", "300"])?;
    let pages = ring.reach("held")?.pages_pinned;
    // Not before: each holds its own count against the kernel's.
    let mut shared = Stepped::start(bench, &["crowd", "--processes", "40"])?;
    let all = pages + shared.reach("held")?.pages_pinned;
    let agent = bench.shared_agent(&CENSUS)?;
    knows(bench, &agent, &ring, [pages, all])?;

    // Killed at that: the next one finds the same.
    drop(agent);
    let last = bench.take_shared()?.context("the agent is gone")?;
    last.end_by(Signal::KILL)?;
    let agent = bench.shared_agent(&CENSUS)?;
    let census = knows(bench, &agent, &ring, [pages, all])?;

    // And a release is one like any other.
    ring.reach("released")?;
    until_pinned(bench, all - pages)?;
    check_sums(bench, all - pages, "with the ring gone")?;
    shared.reach("released")?;
    shared.finish()?;
    ring.finish()?;
    until_pinned(bench, 0)?;
    let now = agent.scrape()?;
    let unknown = |of: &Metrics| of.sum_with("pinscope_lost_total", &UNKNOWN_RELEASE);
    ensure!(
        unknown(&now) == unknown(&census),
        "{}",
        now.show("pinscope_lost_total")
    );
    let repaired = "pinscope_repaired_total";
    ensure!(
        now.sum(repaired)? == census.sum(repaired)?,
        "{}",
        now.show(repaired)
    );
    Ok(())
}

/// That the agent knows of all that is pinned, and whose the ring's pages are.
fn knows(
    bench: &Bench,
    agent: &Agent,
    ring: &Stepped,
    [of_ring, all]: [i64; 2],
) -> Result<Metrics> {
    let now = census(agent)?;
    ensure!(
        now.sum(ENTERED)? == all && now.sum(BEFORE)? == 0,
        "{all} pins are from before; {} {}",
        now.show(ENTERED),
        now.show(BEFORE)
    );
    check_sums(bench, all, "after the census")?;
    let report = ask(bench, "process", &[])?;
    let rows = report.of_pid(ring.pid());
    ensure!(
        rows.len() == 1 && rows[0].pins.value == of_ring && rows[0].preexisting_pins == of_ring,
        "{of_ring} pins are of process {}: {report:?}",
        ring.pid()
    );
    let report = ask(bench, "subsystem", &[])?;
    ensure!(
        report.pins_of("subsystem", "preexisting") == all,
        "{report:?}"
    );
    let report = ask(bench, "stack", &[])?;
    let likely = report.rows.iter().any(|row| {
        row.preexisting_pins >= of_ring && row.about["stack"]["likely"][0] == "io_uring_buffers"
    });
    ensure!(likely, "the process has a ring open: {report:?}");
    Ok(now)
}
