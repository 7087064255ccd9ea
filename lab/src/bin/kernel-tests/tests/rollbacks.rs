//! What the kernel rolls back inside a call: in both of its totals, in none of the agent's, and known to
//! the page.

use std::fs;

use anyhow::{Result, ensure};

use crate::bench::Bench;
use crate::books::{Books, Rollbacks};
use crate::holders::check_sums;
use crate::workload::Stepped;
use lab::absent::absent;

/// Memory that can be unplugged must not be pinned longterm: the kernel pins, sees it, rolls back, moves
/// the pages and pins again.
pub(super) fn pages_that_migrate_before_a_longterm_pin_are_counted_as_rolled_back(
    bench: &Bench,
) -> Result<()> {
    if !has_movable_zone()? {
        return Err(absent("no memory of this guest is in the zone Movable"));
    }
    let agent = bench.shared_agent(&[])?;
    for memory in ["anon", "memfd"] {
        let books = Books::open(bench, &agent)?;
        let moved = migrated()?;
        let mut workload = Stepped::start(
            bench,
            &["uring-fixed", "--pages", "512", "--memory", memory],
        )?;
        let own = workload.reach("held")?;
        let seen = books.check(&agent, Some(own), Rollbacks::Some)?;
        let moved = migrated()? - moved;
        println!("     {memory}: {moved} pages migrated; {seen}");
        if moved == 0 {
            return Err(absent(
                "this kernel pins pages of the zone Movable where they are",
            ));
        }
        ensure!(
            seen.rolled_back + seen.rolled_back_unseen == own.pages_pinned
                && moved >= own.pages_pinned,
            "{} pages of {memory} are pinned, {moved} migrated: {seen}",
            own.pages_pinned
        );
        check_sums(bench, own.pages_pinned, "with migrated pages")?;
        let own = workload.reach("released")?;
        books.check(&agent, Some(own), Rollbacks::Some)?;
        workload.finish()?;
    }
    Ok(())
}

/// The kernel rolls back all that the call pinned, by a function that drivers call as well: without
/// knowing where it is called from, that would be releases of what nobody pinned.
pub(super) fn pins_of_pages_that_cannot_migrate_are_counted_as_rolled_back(
    bench: &Bench,
) -> Result<()> {
    if !has_movable_zone()? {
        return Err(absent("no memory of this guest is in the zone Movable"));
    }
    let agent = bench.shared_agent(&[])?;
    let mut workload = Stepped::start(bench, &["refused-pin", "--why", "stuck"])?;
    workload.reach("ready")?;
    let books = Books::open(bench, &agent)?;
    let own = workload.reach("refused")?;
    let seen = books.check(&agent, None, Rollbacks::Some)?;
    println!("     {} calls refused; {seen}", own.calls);
    if own.calls == 0 {
        return Err(absent(
            "this kernel pins pages of the zone Movable where they are",
        ));
    }
    ensure!(
        seen.rolled_back + seen.rolled_back_unseen == own.calls && !seen.is_acquired(),
        "{} calls were refused, a page each: {seen}",
        own.calls
    );
    workload.finish()
}

pub(super) fn pins_that_the_fast_path_gives_up_are_counted_as_rolled_back(
    bench: &Bench,
) -> Result<()> {
    let agent = bench.shared_agent(&[])?;
    let mut workload = Stepped::start(bench, &["refused-pin"])?;
    workload.reach("ready")?;
    let books = Books::open(bench, &agent)?;
    let own = workload.reach("refused")?;
    // Not held against the workload's own count, which cannot know in which way it was refused.
    let seen = books.check(&agent, None, Rollbacks::Some)?;
    println!("     {} calls refused; {seen}", own.calls);
    if seen.is_acquired() {
        return Err(absent(
            "here io_uring looks what it was given after it has pinned it",
        ));
    }
    ensure!(
        seen.rolled_back_unseen == own.calls && seen.rolled_back == 0,
        "{} calls were refused, a page each: {seen}",
        own.calls
    );
    workload.finish()
}

fn has_movable_zone() -> Result<bool> {
    let text = fs::read_to_string("/proc/zoneinfo")?;
    let zones = text
        .split("Node ")
        .filter(|zone| zone.contains("zone  Movable"));
    let managed = |zone: &str| {
        let line = zone
            .lines()
            .find_map(|it| it.trim().strip_prefix("managed"));
        line.is_some_and(|pages| pages.trim() != "0")
    };
    Ok(zones.into_iter().any(managed))
}

/// Pages that migrated, by the kernel's own count.
fn migrated() -> Result<i64> {
    let text = fs::read_to_string("/proc/vmstat")?;
    let line = text
        .lines()
        .find_map(|it| it.strip_prefix("pgmigrate_success "));
    Ok(line.map_or(Ok(0), |pages| pages.trim().parse())?)
}
