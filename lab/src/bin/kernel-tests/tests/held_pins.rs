//! Writeback that meets pinned pages: what the kernel answers and what the mail's
//! algorithm says, on the very folios that the workload holds.

use anyhow::{Result, ensure};

use crate::agent::Agent;
use crate::bench::Bench;
use crate::holders::check_sums;
use crate::metrics::Metrics;
use crate::wait::Look;
use crate::workload::{self, Stepped};

/// `process_vm_readv()` and its like.
pub(super) const WORKLOADS_PIN: &str = "pin_user_pages_remote";

pub(super) const VERDICTS: &str = "pinscope_verdicts_total";

pub(super) fn held_pins_across_fsync_are_seen_by_kernel_and_two_walk(bench: &Bench) -> Result<()> {
    check_held(bench, &["hold", "--folios", "small"])
}

pub(super) fn held_pins_of_large_folios_are_seen_by_kernel_and_two_walk(
    bench: &Bench,
) -> Result<()> {
    check_held(bench, &["hold", "--folios", "large"])
}

pub(super) fn pins_for_reading_are_seen_like_pins_for_writing(bench: &Bench) -> Result<()> {
    check_held(bench, &["hold", "--folios", "small", "--access", "read"])
}

fn check_held(bench: &Bench, arguments: &[&str]) -> Result<()> {
    bench.needs_hook(WORKLOADS_PIN)?;
    let agent = bench.shared_agent(&[])?;
    let before = agent.scrape()?;
    let mut workload = Stepped::start(bench, arguments)?;

    let held = workload.reach("held")?;
    let now = agent.scrape()?;
    let outstanding = now.sum("pinscope_pins")? - before.sum("pinscope_pins")?;
    ensure!(
        outstanding == held.pages_pinned,
        "{} pages are held, the ledger has {outstanding}",
        held.pages_pinned
    );
    check_sums(bench, held.pages_pinned, "while they are held")?;

    let synced = workload.reach("synced")?;
    ensure!(
        synced.walks_pinned > 0,
        "the workload caused no walk: {synced:?}"
    );
    let now = wait_for_judged(&agent, &before, synced.walks_pinned)?;
    for (estimator, labels) in [
        ("kernel", [("estimator", "kernel"), ("verdict", "pinned")]),
        (
            "two_walk",
            [("estimator", "two_walk"), ("verdict", "pinned")],
        ),
        (
            "two_walk, by the kernel's answer",
            [("estimator", "two_walk"), ("kernel", "pinned")],
        ),
    ] {
        let counted = now.sum_with(VERDICTS, &labels) - before.sum_with(VERDICTS, &labels);
        ensure!(
            counted == synced.walks_pinned,
            "{} walks met pinned folios, {estimator} said pinned {counted} times; {}; {} {} {}",
            synced.walks_pinned,
            now.show("pinscope_references"),
            now.show("pinscope_lost_total"),
            now.show("pinscope_writeback_hooks_changes_total"),
            now.show(VERDICTS)
        );
    }

    workload.reach("released")?;
    let left = agent.scrape()?.sum("pinscope_pins")?;
    ensure!(
        left == before.sum("pinscope_pins")?,
        "{left} pages in the ledger at the end"
    );
    workload.reach("settled")?;
    workload.finish()?;
    Ok(())
}

/// A pin that came and went leaves the mail's flag set; a private mapping then looks like
/// a pin to whoever compares counts, at every walk.
pub(super) fn a_private_mapping_misleads_two_walk_and_not_the_kernel(bench: &Bench) -> Result<()> {
    bench.needs_hook(WORKLOADS_PIN)?;
    let agent = bench.shared_agent(&[])?;
    let before = agent.scrape()?;
    let counts = workload::run(bench, &["private", "--after-pin", "--folios", "small"])?;
    let now = wait_for_judged(&agent, &before, counts.walks_not_pinned)?;
    let wrong = [
        ("estimator", "two_walk"),
        ("verdict", "pinned"),
        ("kernel", "not_pinned"),
    ];
    let misled = now.sum_with(VERDICTS, &wrong) - before.sum_with(VERDICTS, &wrong);
    ensure!(
        misled == counts.walks_not_pinned,
        "{} walks met a private mapping, two_walk was misled {misled} times; {}",
        counts.walks_not_pinned,
        now.show(VERDICTS)
    );
    let pinned = [("kernel", "pinned")];
    ensure!(
        now.sum_with(VERDICTS, &pinned) == before.sum_with(VERDICTS, &pinned),
        "the kernel called a folio pinned that nobody held; {}",
        now.show(VERDICTS)
    );
    Ok(())
}

/// Nobody saw who took them, and no census finds them, so that nothing that rests on the ledger
/// can be said.
pub(super) fn pins_from_before_the_start_leave_verdicts_uncertain_until_they_are_gone(
    bench: &Bench,
) -> Result<()> {
    const BEFORE: &str = "pinscope_preexisting_pins";
    bench.needs_hook(WORKLOADS_PIN)?;
    bench.end_shared()?;
    let mut workload = Stepped::start(bench, &["hold", "--folios", "small"])?;
    let held = workload.reach("held")?;
    let agent = bench.shared_agent(&[])?;
    let before = agent.scrape()?;
    ensure!(
        before.sum(BEFORE)? == held.pages_pinned,
        "{} pages are held; {}",
        held.pages_pinned,
        before.show(BEFORE)
    );
    let synced = workload.reach("synced")?;
    let now = wait_for_judged(&agent, &before, synced.walks_pinned)?;
    for estimator in ["ledger", "two_walk"] {
        let uncertain = [("estimator", estimator), ("verdict", "uncertain")];
        let counted = now.sum_with(VERDICTS, &uncertain);
        ensure!(
            counted == synced.walks_pinned,
            "{} walks met folios pinned before, {estimator} was uncertain {counted} times; {}",
            synced.walks_pinned,
            now.show(VERDICTS)
        );
    }
    let kernel = [("estimator", "kernel"), ("verdict", "pinned")];
    ensure!(
        now.sum_with(VERDICTS, &kernel) == synced.walks_pinned,
        "{}",
        now.show(VERDICTS)
    );
    workload.reach("released")?;
    let left = agent.scrape()?.sum(BEFORE)?;
    ensure!(left == 0, "{left} pages of before the start are left");
    workload.reach("settled")?;
    workload.finish()
}

/// The samples come through a ring, a moment after the walks.
pub(super) fn wait_for_judged(agent: &Agent, before: &Metrics, walks: i64) -> Result<Metrics> {
    let judged = "pinscope_samples_judged_total";
    let start = before.sum(judged)?;
    agent.scrape_until("the judgement of every walk", |now| {
        let grown = now.sum(judged)? - start;
        Ok(if grown >= walks {
            Look::Done(now.clone())
        } else {
            Look::NotYet(format!(
                "{grown} of {walks} samples were judged; {}; {}",
                now.show("pinscope_mkclean_walks_total"),
                now.show("pinscope_lost_total")
            ))
        })
    })
}
