//! Pins that interrupts release on top of whatever runs: nobody is accused meanwhile, and nothing is
//! left of it.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::agent::Agent;
use crate::bench::Bench;
use crate::books::{Books, Rollbacks};
use crate::metrics::Metrics;
use crate::wait::{Look, until};
use crate::workload::Beside;

use super::blocked_calls::check_pins_on_the_zero_page;

const WRONG: &str = "pinscope_wrong_verdicts_total";
const REPAIRED: &str = "pinscope_repaired_total";
const LOST: &str = "pinscope_lost_total";
const SUSPECTS: &str = "pinscope_leak_suspects";

pub(super) fn a_storm_of_direct_reads_makes_nobody_a_suspect_and_leaves_nothing_pinned(
    bench: &Bench,
) -> Result<()> {
    storm(bench, Duration::from_secs(8))
}

pub(super) fn five_minutes_of_direct_reads_make_nobody_a_suspect_and_leave_nothing_pinned(
    bench: &Bench,
) -> Result<()> {
    storm(bench, Duration::from_secs(300))
}

/// Calls are under way when the hooks come, and the zero page is looked for between others' pins.
pub(super) fn an_agent_that_starts_in_a_storm_accounts_for_every_pin(bench: &Bench) -> Result<()> {
    bench.needs_hook("pin_user_pages_remote")?;
    bench.end_shared()?;
    let storm = ["direct-storm", "--storm", "20s", "--pinners", "1"];
    let storm = Beside::start(bench, &storm)?;
    let agent = Agent::start(bench, &[])?;
    storm.finish()?;
    check_pins_on_the_zero_page(bench, &agent)?;
    agent.end()
}

fn storm(bench: &Bench, lasts: Duration) -> Result<()> {
    // Beside: pins that are taken where direct reads take references.
    bench.needs_hook("pin_user_pages_remote")?;
    let agent = bench.shared_agent(&[])?;
    let books = Books::open(bench, &agent)?;
    let before = agent.scrape()?;
    let time = format!("{}s", lasts.as_secs());
    let arguments = ["direct-storm", "--storm", &time, "--pinners", "1"];
    let mut storm = Beside::start(bench, &arguments)?;
    let mut looks = 0;
    until("the end of the storm", lasts + bench.patience, || {
        looks += 1;
        check_nobody_is_accused(&before, &agent.scrape()?)?;
        Ok(if storm.has_ended()? {
            Look::Done(())
        } else {
            Look::NotYet(format!("{looks} looks"))
        })
    })?;
    let own = storm.finish()?;
    let seen = books.check(&agent, Some(own), Rollbacks::Some)?;
    let now = agent.scrape()?;
    check_nobody_is_accused(&before, &now)?;
    println!("     {looks} looks; {seen}; {}", now.show(REPAIRED));
    check_nothing_was_unseen(&before, &now)?;
    ensure!(
        seen.held.pins == 0 && seen.held.folios == 0,
        "something is left of it: {seen}"
    );
    Ok(())
}

/// The ledger lacks pins while their calls are under way, and walks come then. None was lacking
/// for another reason, and none was released twice, unless the kernel kept a program from it.
fn check_nothing_was_unseen(before: &Metrics, now: &Metrics) -> Result<()> {
    let grown = |name, label| now.sum_with(name, &[label]) - before.sum_with(name, &[label]);
    let missed = grown(LOST, ("cause", "hook_missed"));
    let entered = grown(REPAIRED, ("cause", "pin_missed"));
    ensure!(
        missed > 0 || entered == 0,
        "{entered} pins were not seen, though no program was kept from them"
    );
    let unknown = grown(LOST, ("cause", "unknown_release"));
    ensure!(
        missed > 0 || unknown == 0,
        "{unknown} releases were of no pin, though no program was kept from one"
    );
    Ok(())
}

fn check_nobody_is_accused(before: &Metrics, now: &Metrics) -> Result<()> {
    // Nothing raced that would explain it.
    let wrong = [
        ("estimator", "kernel"),
        ("error", "false_negative"),
        ("race", "quiet"),
    ];
    ensure!(
        now.sum_with(WRONG, &wrong) == before.sum_with(WRONG, &wrong),
        "the kernel is said to have called a pinned folio not pinned: {}",
        now.show(WRONG)
    );
    ensure!(now.sum(SUSPECTS)? == 0, "{}", now.show(SUSPECTS));
    Ok(())
}
