//! More folios than the ledger has slots for: totals stay exact, parts become estimates that say
//! how far they may be off, and once everything fits again they are exact again.

use anyhow::{Context, Result, ensure};

use crate::agent::Agent;
use crate::bench::{Bench, SMALL_LEDGER_SMALL_RING, available_pages};
use crate::company::Company;
use crate::holders::{ask, check_sums, until_pinned};
use crate::wait::{Look, until};
use crate::workload::Stepped;
use lab::absent::absent;
use lab::page::page_bytes;

/// The most that one fixed buffer of an io_uring can have.
const BUFFER_LIMIT: usize = 1 << 18;

pub(super) fn more_folios_than_the_ledger_holds_are_estimated_and_exact_again_after(
    bench: &Bench,
) -> Result<()> {
    // Unequal parts, of a sixteenth of the memory there is.
    let unit = available_pages()? as usize / 160;
    let parts = [4, 3, 2, 1].map(|part| (unit * part).min(BUFFER_LIMIT));
    let agent = bench.shared_agent(&SMALL_LEDGER_SMALL_RING)?;
    check(bench, &agent, parts)
}

pub(super) fn eight_thousand_pages_in_a_ledger_of_1024_slots_are_estimated_and_exact_again_after(
    bench: &Bench,
) -> Result<()> {
    let agent = Agent::start(bench, &["--ledger-folios", "1024"])?;
    check(bench, &agent, [3200, 2400, 1600, 800])?;
    agent.end()
}

/// Several owners of each folio: what finds no slot of its own is passed over, and is no pin that was
/// missed.
pub(super) fn more_owners_than_the_ledger_has_slots_for_make_no_difference(
    bench: &Bench,
) -> Result<()> {
    const ROUNDS: &str = "pinscope_audit_rounds_total";
    // After the first of them each folio was looked at, and after the second as often as it takes.
    const ROUNDS_UNTIL_ENTERED: i64 = 2;
    let agent = Agent::start(bench, &["--ledger-folios", "64"])?;
    let mut company = Company::start(bench, 64)?;
    for step in "A+ B+ C+ A& a+".split(' ') {
        company.step(step)?;
    }
    let report = ask(bench, "process", &[])?;
    ensure!(
        report.sampling_ratio < 1.0,
        "all of it has room: {report:?}"
    );
    println!(
        "     one folio in {:.0} known, rows {}",
        1.0 / report.sampling_ratio,
        report.sum()
    );
    let before = agent.scrape()?.sum(ROUNDS)?;
    agent.scrape_until("the ledger is held against the kernel", |now| {
        let rounds = now.sum(ROUNDS)? - before;
        Ok(if rounds >= ROUNDS_UNTIL_ENTERED {
            Look::Done(())
        } else {
            Look::NotYet(format!("{rounds} rounds"))
        })
    })?;
    for (pages, then) in [(4 * 64, "a-"), (3 * 64, "A- B- C-"), (0, "")] {
        until_pinned(bench, pages)?;
        let report = ask(bench, "process", &[])?;
        ensure!(
            report.kernel_pins == pages && report.pins == pages && report.unreconciled_pins == 0,
            "{pages} pages are pinned: {report:?}"
        );
        for step in then.split_whitespace() {
            company.step(step)?;
        }
    }
    company.end()?;
    agent.end()
}

pub(super) fn a_million_pages_in_a_ledger_of_4096_entries_are_estimated_and_exact_again_after(
    bench: &Bench,
) -> Result<()> {
    // None more than the probes of 5.10 walk in one call.
    let parts = [
        130_000, 130_000, 130_000, 130_000, 130_000, 130_000, 120_000, 100_000,
    ];
    // What the programs need besides is little against a quarter more.
    if available_pages()? < 1_250_000 {
        return Err(absent("less than 4.8 GiB of memory are available"));
    }
    let agent = Agent::start(bench, &["--ledger-folios", "4096"])?;
    check(bench, &agent, parts)?;
    agent.end()
}

fn check<const N: usize>(bench: &Bench, agent: &Agent, parts: [usize; N]) -> Result<()> {
    let mut holders = Vec::new();
    let mut total = 0;
    for pages in parts {
        let arguments = ["uring-fixed", "--pages", &pages.to_string()];
        let mut holder = Stepped::start(bench, &arguments)?;
        total += holder.reach("held")?.pages_pinned;
        holders.push((pages as i64, holder));
    }
    let report = ask(bench, "process", &[])?;
    println!(
        "     {total} pages pinned, one folio in {:.0} known",
        1.0 / report.sampling_ratio
    );
    ensure!(
        report.sampling_ratio < 1.0
            && report.pins == total
            && report.kernel_pins == total
            && report.unreconciled_pins == 0
            && (report.sum() - total).abs() <= holders.len() as i64,
        "{total} pages are pinned: {report:?}"
    );
    for (what, told, truth) in [
        ("folios", report.folios, total),
        ("bytes", report.bytes, total * page_bytes() as i64),
    ] {
        let error = told.error.context("no error is told")?;
        println!(
            "     {} {what} told for {truth}, 95 % error {error}",
            told.value
        );
        ensure!(
            (told.value - truth).abs() <= 2 * error && error <= truth / 4,
            "{truth} {what} are told as {told:?}: {report:?}"
        );
    }
    for (pages, holder) in &holders {
        let [row] = report.of_pid(holder.pid())[..] else {
            anyhow::bail!("one row for {}: {report:?}", holder.pid());
        };
        let error = row.pins.error.context("no error is told")?;
        let off = (row.pins.value - pages).abs();
        println!(
            "     {pages} pages: {} told, off by {off}, 95 % error {error}",
            row.pins.value
        );
        // One in twenty may be off by more than the error told, one in ten thousand by twice it.
        ensure!(
            off <= 2 * error,
            "{pages} pages are told as {} with an error of {error}: {report:?}",
            row.pins.value
        );
    }

    for (pages, holder) in holders {
        holder.finish()?;
        total -= pages;
        until_pinned(bench, total)?;
        let report = ask(bench, "process", &[])?;
        ensure!(report.pins == total, "{total} pages are left: {report:?}");
    }
    until_exact(bench)?;
    let now = agent.scrape()?;
    for gauge in ["pinscope_pins", "pinscope_passed_over_pins"] {
        ensure!(now.sum(gauge)? == 0, "{}", now.show(gauge));
    }
    let mut holder = Stepped::start(bench, &["uring-fixed", "--pages", "400"])?;
    holder.reach("held")?;
    check_sums(bench, 400, "after sampling")?;
    holder.finish()
}

fn until_exact(bench: &Bench) -> Result<()> {
    until("an exact ledger", bench.patience, || {
        let report = ask(bench, "process", &[])?;
        Ok(if report.sampling_ratio == 1.0 {
            Look::Done(())
        } else {
            Look::NotYet(format!("{report:?}"))
        })
    })
}
