//! Calls that have pinned some pages and wait for others: told as calls under way, with who waits and
//! for how long, and as no difference.

use anyhow::{Context as _, Result, ensure};

use crate::agent::Agent;
use crate::bench::Bench;
use crate::books::{Books, Rollbacks};
use crate::holders::ask;
use crate::metrics::Metrics;
use crate::tests::identities::as_service;
use crate::wait::{Look, until};
use crate::workload::Stepped;

pub(super) fn a_call_that_waits_for_a_page_is_told_with_its_owner_and_makes_no_difference(
    bench: &Bench,
) -> Result<()> {
    const PAGES: i64 = 64;
    bench.needs_hook("pin_user_pages_remote")?;
    let agent = bench.shared_agent(&[])?;
    let mut workload = Stepped::start(bench, &["blocked-pin", "--pages", "64", "--there", "32"])?;
    workload.reach("ready")?;
    let books = Books::open(bench, &agent)?;
    workload.reach("blocked")?;
    let first = ask(bench, "process", &[])?;
    let calls = &first.in_flight;
    let [call] = &calls.oldest[..] else {
        anyhow::bail!("one call waits: {first:?}");
    };
    ensure!(
        calls.calls == 1
            && calls.pages == PAGES
            && call.pid == workload.pid()
            && call.comm == "workload"
            && call.pages == PAGES
            && first.pins == 0
            && first.unreconciled_pins == 0,
        "process {} waits in a call for {PAGES} pages: {first:?}",
        workload.pid()
    );
    let grows = until("a call that grows older", bench.patience, || {
        let now = agent.scrape()?;
        let age = now.number("pinscope_in_flight_oldest_seconds");
        ensure!(
            now.sum("pinscope_in_flight_calls")? == 1
                && now.sum("pinscope_in_flight_pages")? == PAGES
                && now.sum("pinscope_unreconciled_pins")? == 0,
            "{} {} {}",
            now.show("pinscope_in_flight_calls"),
            now.show("pinscope_in_flight_pages"),
            now.show("pinscope_unreconciled_pins")
        );
        Ok(match age {
            Some(age) if age > first.in_flight.oldest_seconds + 2.0 => Look::Done(age),
            _ => Look::NotYet(format!("{age:?} s")),
        })
    })?;
    println!(
        "     {grows:.1} s old; the kernel counts {}",
        first.kernel_pins
    );

    let own = workload.reach("released")?;
    books.check(&agent, Some(own), Rollbacks::Nothing)?;
    let after = ask(bench, "process", &[])?;
    ensure!(
        after.in_flight.calls == 0 && after.pins == 0 && after.kernel_pins == 0,
        "the call has come back: {after:?}"
    );
    workload.finish()
}

/// By kprobes more calls than a service has room for: of those beyond, no program sees the end. When their
/// threads are gone nobody waits any more.
pub(super) fn calls_of_a_killed_process_are_forgotten_also_where_no_return_was_seen(
    bench: &Bench,
) -> Result<()> {
    const CALLERS: i64 = 600;
    const PAGES: i64 = 2;
    bench.needs_hook("pin_user_pages_remote")?;
    let socket = std::env::temp_dir().join("kernel-tests-calls.sock");
    let socket = socket.to_str().context("a path of another alphabet")?;
    let (agent, _open) = as_service(bench, socket)?;
    let mut workload = Stepped::start(
        bench,
        &[
            "blocked-pin",
            "--pages",
            "2",
            "--there",
            "1",
            "--callers",
            "600",
        ],
    )?;
    workload.reach("ready")?;
    workload.reach("blocked")?;
    let figures = |now: &Metrics| -> Result<[i64; 4]> {
        let of = |name: &str| now.sum(name);
        Ok([
            of("pinscope_in_flight_calls")?,
            of("pinscope_in_flight_pages")?,
            of("pinscope_pins")?,
            of("pinscope_unreconciled_pins")?,
        ])
    };
    agent.scrape_until("all calls under way", |now| {
        let [calls, pages, ..] = figures(now)?;
        Ok(if calls >= CALLERS && pages >= CALLERS * PAGES {
            Look::Done(())
        } else {
            Look::NotYet(format!("{calls} calls for {pages} pages"))
        })
    })?;
    workload.kill()?;
    workload.wait_for_killed()?;
    let missed = agent.scrape_until("calls of nobody to be forgotten", |now| {
        let [calls, pages, pins, off] = figures(now)?;
        // A return of the agent's own may be among those that were missed.
        let is_over = calls <= 1 && pages <= 1 && pins == 0 && off == 0;
        Ok(if is_over {
            Look::Done(now.sum_with("pinscope_lost_total", &[("cause", "return_missed")]))
        } else {
            Look::NotYet(format!(
                "{calls} calls for {pages} pages, {pins} pins, off by {off}"
            ))
        })
    })?;
    println!("     {missed} returns missed");
    agent.end()
}

/// The pages that the call waits for are the zero page, of which most kernels count no pin. A service
/// is not shown where it is.
pub(super) fn pins_on_the_zero_page_are_in_no_total_of_a_service(bench: &Bench) -> Result<()> {
    bench.needs_hook("pin_user_pages_remote")?;
    let socket = std::env::temp_dir().join("kernel-tests-zero.sock");
    let socket = socket.to_str().context("a path of another alphabet")?;
    let (agent, _open) = as_service(bench, socket)?;
    check_pins_on_the_zero_page(bench, &agent)?;
    agent.end()
}

/// Half of the pages of a call are the zero page.
pub(super) fn check_pins_on_the_zero_page(bench: &Bench, agent: &Agent) -> Result<()> {
    let mut workload = Stepped::start(bench, &["blocked-pin", "--pages", "64", "--there", "32"])?;
    workload.reach("ready")?;
    let books = Books::open(bench, agent)?;
    workload.reach("blocked")?;
    let own = workload.reach("released")?;
    books.check(agent, Some(own), Rollbacks::Nothing)?;
    workload.finish()
}
