//! Buffers that one io_uring took over from another one: whose the pins are that it releases.

use std::fs;

use anyhow::{Context, Result};

use super::continuity::{CENSUS, census};
use super::sequences::check;
use crate::agent::Agent;
use crate::bench::Bench;
use crate::company::Company;
use crate::holders::until_pinned;
use lab::absent::absent;

/// Pages of each buffer.
const PAGES: usize = 4;

/// What A pinned and its child keeps with a ring of both; then the child pins with that ring, too, and
/// one of them releases what A pinned.
const TAKEN_OVER: &str = "A= A&";
const RELEASED: [&str; 2] = ["a^ a0", "a^ A0"];

pub(super) fn what_a_ring_took_over_is_released_rightly_or_told_as_a_guess(
    bench: &Bench,
) -> Result<()> {
    needs_clones()?;
    bench.end_shared()?;
    // Of its own: what it has seen once, it has seen for ever.
    let agent = Agent::start(bench, &[])?;
    let mut companies = companies(bench)?;
    follow(bench, &mut companies, |_| TAKEN_OVER)?;
    release(bench, companies)?;
    agent.end()
}

pub(super) fn so_it_is_where_the_ring_took_it_over_before_the_agent_started(
    bench: &Bench,
) -> Result<()> {
    needs_clones()?;
    bench.end_shared()?;
    let mut companies = companies(bench)?;
    for company in &mut companies {
        for step in TAKEN_OVER.split(' ') {
            company.step(step)?;
        }
    }
    let agent = Agent::start(bench, &CENSUS)?;
    census(&agent)?;
    release(bench, companies)?;
    agent.end()
}

/// One for each way to release.
fn companies(bench: &Bench) -> Result<Vec<Company>> {
    RELEASED
        .iter()
        .map(|_| Company::start(bench, PAGES))
        .collect()
}

fn release(bench: &Bench, mut companies: Vec<Company>) -> Result<()> {
    follow(bench, &mut companies, |number| RELEASED[number])?;
    for company in companies {
        company.end()?;
    }
    until_pinned(bench, 0)
}

/// Each step of each of them, and after it right rows.
fn follow(
    bench: &Bench,
    companies: &mut [Company],
    script: impl Fn(usize) -> &'static str,
) -> Result<()> {
    let scripts: Vec<_> = (0..companies.len())
        .map(|it| script(it).to_owned())
        .collect();
    for (number, script) in scripts.iter().enumerate() {
        for step in script.split(' ') {
            companies[number].step(step).context(script.clone())?;
            check(bench, &scripts, &*companies)?;
        }
    }
    Ok(())
}

fn needs_clones() -> Result<()> {
    let symbols = fs::read_to_string("/proc/kallsyms")?;
    let clones = symbols
        .lines()
        .any(|it| it.split_whitespace().nth(2) == Some("io_register_clone_buffers"));
    if clones {
        return Ok(());
    }
    Err(absent(
        "io_urings that take over buffers of others (Linux 6.12)",
    ))
}
