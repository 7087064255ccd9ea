//! One call for more pages than the probes can walk: some kernels bound their loops.

use anyhow::{Result, ensure};

use crate::bench::Bench;
use crate::holders::ask;
use crate::metrics::Metrics;
use crate::workload::Stepped;
use lab::page::page_bytes;

/// Pages of one fixed buffer of an io_uring: where they are of 4 KiB, more than is walked anywhere.
/// The kernel takes 1 GiB at most.
fn pages_of_a_call() -> i64 {
    200_000.min((1 << 30) / page_bytes() as i64)
}

/// What is walked of a call where the kernel's BPF has no loop of its own.
const BOUND: i64 = 131_072;

pub(super) fn a_call_of_more_pages_than_a_program_walks_is_counted_whole(
    bench: &Bench,
) -> Result<()> {
    let pages = pages_of_a_call();
    // By default its ledger has room for all of it, or it would be sampled.
    let agent = bench.shared_agent(&[])?;
    let before = agent.scrape()?;
    let arguments = ["uring-fixed", "--pages", &pages.to_string()];
    let mut workload = Stepped::start(bench, &arguments)?;
    workload.reach("held")?;
    let held = agent.scrape()?;
    let lost = |now: &Metrics, cause| {
        let labels = [("cause", cause)];
        now.sum_with("pinscope_lost_total", &labels)
            - before.sum_with("pinscope_lost_total", &labels)
    };
    let grown = |now: &Metrics, name| Ok::<_, anyhow::Error>(now.sum(name)? - before.sum(name)?);
    let truncated = lost(&held, "truncated");
    ensure!(
        truncated == 0 || truncated == pages - BOUND,
        "{truncated} pages of {pages} were not walked"
    );
    for (name, wanted) in [
        ("pinscope_pins_acquired_total", pages),
        ("pinscope_pins", pages - truncated),
    ] {
        let taken = grown(&held, name)?;
        ensure!(
            is(name, taken, wanted),
            "{name} grew by {taken} instead of {wanted}"
        );
    }
    ensure!(
        held.sum("pinscope_unreconciled_pins")? == 0,
        "the kernel counts another number of pages"
    );
    let report = ask(bench, "process", &[])?;
    let rows = report.of_pid(workload.pid());
    ensure!(
        rows.len() == 1 && rows[0].pins.value == pages - truncated,
        "{pages} pages are held: {report:?}"
    );
    workload.reach("released")?;
    let after = agent.scrape()?;
    for (name, wanted) in [
        ("pinscope_pins_released_total", pages),
        ("pinscope_pins", 0),
    ] {
        let given = grown(&after, name)?;
        ensure!(
            is(name, given, wanted),
            "{name} grew by {given} instead of {wanted}"
        );
    }
    let unknown = lost(&after, "unknown_release");
    ensure!(
        unknown == truncated,
        "{truncated} pages were not walked, and {unknown} were released that the ledger has not"
    );
    workload.finish()
}

/// Of totals, the agent's own pins are a part: one twice a minute.
fn is(name: &str, grown: i64, wanted: i64) -> bool {
    let own = if name.ends_with("_total") { 4 } else { 0 };
    (wanted..=wanted + own).contains(&grown)
}
