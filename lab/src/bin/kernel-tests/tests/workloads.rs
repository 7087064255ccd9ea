//! Every workload under one agent, a row for each: at every quiet point the books agree to the
//! page, the parts add up to the whole, and what is held is told under the right name.

mod rows;

use anyhow::{Result, ensure};

use self::rows::{Accounts, ROWS, ROWS_OF_DRIVERS, Row, Takes};
use super::Test;
use crate::agent::Agent;
use crate::bench::Bench;
use crate::books::{Books, Seen};
use crate::holders::{ask, by_subsystem, check_sums};
use crate::metrics::Metrics;
use crate::moment;
use crate::wait::Look;
use crate::workload::{Counts, Step, Stepped};
use lab::page::page_bytes;

/// A test for each row that any kernel may have.
pub(super) fn usual() -> impl Iterator<Item = Test> {
    tests(ROWS)
}

/// And for each of the others.
pub(super) fn of_drivers() -> impl Iterator<Item = Test> {
    tests(ROWS_OF_DRIVERS)
}

fn tests(rows: &'static [Row]) -> impl Iterator<Item = Test> {
    rows.iter().map(|row| Test {
        name: row.name,
        run: Box::new(|bench| check(row, bench)),
        either_way: false,
    })
}

fn check(row: &Row, bench: &Bench) -> Result<()> {
    if let Some(hook) = row.hook {
        bench.needs_hook(hook)?;
    }
    let agent = bench.shared_agent(&[])?;
    let start = agent.scrape()?;
    let books = Books::open(bench, &agent)?;
    let mut workload = Stepped::start(bench, row.arguments)?;
    let mut before: Option<(Metrics, Counts)> = None;
    let mut held = 0;
    loop {
        let step = workload.advance()?;
        // First of all: whatever is asked below starts programs, and those take references.
        let now = agent.scrape()?;
        let (phase, own) = match &step {
            Step::Phase(phase, own) => (phase.as_str(), *own),
            Step::End(own) => ("end", *own),
        };
        let seen = books
            .check(&agent, Some(own), row.rollbacks)
            .and_then(|seen| check_phase(row, bench, workload.pid(), &seen).map(|()| seen))
            .map_err(|error| error.context(format!("phase {phase}")))?;
        held = held.max(seen.held.pins);
        if let Some((before, done)) = &before {
            check_references(row, &seen, (before, *done), (&now, own))?;
        }
        if let Step::End(own) = step {
            println!("     {held} held; then {seen}");
            return check_end(row, own, &start, &agent);
        }
        if !matches!(row.takes, Takes::Pins(_)) {
            // What was asked counts, too.
            moment::has_passed();
        }
        before = Some((agent.scrape()?, own));
    }
}

/// Who holds what, while something is held.
fn check_phase(row: &Row, bench: &Bench, pid: u32, seen: &Seen) -> Result<()> {
    let held = seen.held;
    check_sums(bench, held.pins, "at a quiet point")?;
    let Takes::Pins(subsystem) = row.takes else {
        return Ok(());
    };
    if held.pins == 0 {
        return Ok(());
    }
    let report = by_subsystem(bench)?;
    ensure!(
        report.pins_of("subsystem", subsystem) == held.pins,
        "{} pages are held for {subsystem}: {report:?}",
        held.pins
    );
    let report = ask(bench, "process", &[])?;
    let [row_of_pid] = report.of_pid(pid)[..] else {
        anyhow::bail!("one row for {pid}: {report:?}");
    };
    let process = &row_of_pid.about["process"];
    let accounted = process["accounts"]["vm_pin_bytes"].as_i64();
    ensure!(
        row_of_pid.figures() == [held.pins, held.folios, held.bytes]
            && row_of_pid.guessed_pins == 0
            && process["comm"] == "workload"
            && process["life"] == "alive"
            && (row.accounts == Accounts::ByKernel
                || accounted == Some(held.pins * page_bytes() as i64)),
        "{pid} has {held:?}: {report:?}"
    );
    Ok(())
}

/// References that others may take meanwhile: a thread that ends takes one for its futex.
const STRAY: i64 = 4;

/// What was referenced from one phase to the next. The start of a program takes references, too,
/// so the way to the first phase is left out.
fn check_references(
    row: &Row,
    seen: &Seen,
    before: (&Metrics, Counts),
    now: (&Metrics, Counts),
) -> Result<()> {
    let grown = |name| Ok::<_, anyhow::Error>(now.0.sum(name)? - before.0.sum(name)?);
    let taken = now.1.pages_referenced - before.1.pages_referenced;
    let released = now.1.pages_unreferenced - before.1.pages_unreferenced;
    // Linux 5.10 inlines the function that releases what direct I/O took, where it matters: by
    // fentry nothing sees it, the self-test finds that, and the total is withheld.
    let failed = [("hook", "bio_release"), ("outcome", "failed")];
    let withheld = now.0.sum_with("pinscope_hook_selftest", &failed) > 0;
    let seen_released = match row.takes {
        Takes::Pins(_) => return Ok(()),
        Takes::AsDirectIo => released,
        Takes::References => 0,
    };
    let totals = [
        ("pinscope_references_acquired_total", taken),
        ("pinscope_references_released_total", seen_released),
    ];
    for (name, expected) in &totals[..if withheld { 1 } else { 2 }] {
        let expected = *expected;
        let grown = grown(name)?;
        ensure!(
            (expected..=expected + STRAY).contains(&grown) || seen.allows(expected - grown),
            "{name} grew by {grown}, the workload makes it {expected}"
        );
    }
    Ok(())
}

/// That the workload did what it is for, and is known by its name also when nothing lasted.
fn check_end(row: &Row, own: Counts, start: &Metrics, agent: &Agent) -> Result<()> {
    ensure!(
        own.pages_pinned + own.pages_referenced > 0,
        "nothing was pinned: {own:?}"
    );
    let pins_for = match row.takes {
        Takes::Pins(subsystem) => Some(subsystem),
        Takes::AsDirectIo if own.pages_pinned > 0 => Some("direct_io"),
        Takes::References | Takes::AsDirectIo => None,
    };
    let Some(subsystem) = pins_for else {
        ensure!(own.pages_pinned == 0, "references, not pins: {own:?}");
        return Ok(());
    };
    let held =
        |it: &Metrics| it.sum_with("pinscope_hold_seconds_count", &[("subsystem", subsystem)]);
    // Soon after its start the agent has no names for call paths yet.
    agent.scrape_until("hold times by name", |now| {
        Ok(if held(now) > held(start) {
            Look::Done(())
        } else {
            Look::NotYet(format!(
                "{subsystem} held nothing: {}",
                now.show("pinscope_hold_seconds_count")
            ))
        })
    })
}
