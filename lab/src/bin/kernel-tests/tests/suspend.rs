//! A machine that sleeps: pins are as old as they are by the clock on the wall.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::time::{ClockId, clock_gettime};

use crate::bench::Bench;
use crate::holders::{ask, until_pinned};
use crate::moment;
use crate::workload::Stepped;
use lab::absent::absent;

const PAGES: i64 = 64;

/// What rings have held for, one folio a page.
const HELD: &str = "pinscope_hold_seconds_sum";

pub(super) fn the_time_asleep_counts_in_ages_and_hold_times(bench: &Bench) -> Result<()> {
    let agent = bench.shared_agent(&[])?;
    let ours = [("subsystem", "io_uring_buffers")];
    let pages = PAGES.to_string();
    let mut workload = Stepped::start(bench, &["uring-fixed", "--pages", &pages])?;
    workload.reach("held")?;
    let before = agent.scrape()?.sum_with(HELD, &ours);
    let [since, awake_since] = now();
    sleep()?;
    moment::has_passed();
    let [then, awake_then] = now();
    let (passed, awake) = (then - since, awake_then - awake_since);
    ensure!(
        passed >= awake + Duration::from_secs(2),
        "the machine slept: {passed:?} passed, {awake:?} of them awake"
    );
    let report = ask(bench, "process", &[])?;
    let [row] = report.of_pid(workload.pid())[..] else {
        anyhow::bail!("one row for {}: {report:?}", workload.pid());
    };
    ensure!(
        row.oldest_seconds >= passed.as_secs_f64(),
        "held for {passed:?} at least: {row:?}"
    );
    let min_age = format!("{}ms", passed.as_millis());
    let report = ask(bench, "process", &["--min-age", &min_age])?;
    ensure!(
        report.sum() == PAGES,
        "{PAGES} are held for {min_age}: {report:?}"
    );
    workload.reach("released")?;
    workload.finish()?;
    let held = agent.scrape()?.sum_with(HELD, &ours) - before;
    ensure!(
        held >= PAGES * passed.as_secs().cast_signed(),
        "{PAGES} folios were held for {passed:?} each, in all for {held} s"
    );
    until_pinned(bench, 0)
}

/// Since boot, and of that awake.
fn now() -> [Duration; 2] {
    [ClockId::Boottime, ClockId::Monotonic].map(|clock| {
        let now = clock_gettime(clock);
        Duration::new(now.tv_sec.cast_unsigned(), now.tv_nsec as u32)
    })
}

/// Suspends the machine to memory until its clock wakes it.
fn sleep() -> Result<()> {
    const STATE: &str = "/sys/power/state";
    const DEPTH: &str = "/sys/power/mem_sleep";
    const ALARM: &str = "/sys/class/rtc/rtc0/wakealarm";
    let depths = fs::read_to_string(DEPTH).unwrap_or_default();
    if !depths.contains("deep") || fs::metadata(ALARM).is_err() {
        return Err(absent(
            "this machine cannot be suspended to memory, or nothing would wake it",
        ));
    }
    fs::write(DEPTH, "deep").context(DEPTH)?;
    fs::write(ALARM, "+5").context(ALARM)?;
    fs::write(STATE, "mem").context(STATE)
}
