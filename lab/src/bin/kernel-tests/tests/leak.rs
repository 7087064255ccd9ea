//! Pins whose process is gone: found soon, with everything that leads to the culprit, and no
//! longer told once they are released.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::bench::Bench;
use crate::holders::{Report, Row, ask, check_sums, until_pinned};
use crate::wait::{Look, until};
use crate::workload::Stepped;
use lab::absent::absent;

/// How soon a leak has to be named after the process died.
const SOON: Duration = Duration::from_secs(10);

/// Where the kernel is told which process id it gave last.
const LAST_PID: &str = "/proc/sys/kernel/ns_last_pid";

pub(super) fn a_dead_owner_is_a_suspect_with_its_call_path_and_file_until_its_pins_are_gone(
    bench: &Bench,
) -> Result<()> {
    let _agent = bench.shared_agent(&[])?;
    let mut workload = Stepped::start(bench, &["leak", "--pages", "256"])?;
    let pages = workload.reach("held")?.pages_pinned;
    check_sums(bench, pages, "while the owner lives")?;
    let living = ask(bench, "process", &["--suspects"])?;
    ensure!(living.rows.is_empty(), "a living owner: {living:?}");

    let pid = workload.pid();
    workload.end_and_leave_heirs()?;
    let died = Instant::now();
    let report = until_suspected(bench, pid)?;
    let took = died.elapsed();
    ensure!(took <= SOON, "the leak was named after {took:?}");
    let [row] = report.rows.as_slice() else {
        bail!("one process leaks: {report:?}");
    };
    let process = &row.about["process"];
    ensure!(
        row.pins.value == pages && process["comm"] == "workload" && process["life"] == "ended",
        "process {pid} leaks {pages} pages: {report:?}"
    );

    let stack = ask(bench, "stack", &["--suspects"])?;
    let [row] = stack.rows.as_slice() else {
        bail!("one call path leaks: {stack:?}");
    };
    let told = &row.about["stack"];
    let frames = told["frames"].as_array().context("no call path")?;
    ensure!(
        row.pins.value == pages
            && told["subsystem"] == "io_uring_buffers"
            && told["comm"] == "workload"
            && told["longterm"] == true
            && told["write"] == true
            && frames.len() > 2,
        "io_uring's registration leaks: {stack:?}"
    );
    let first = frames[0]["function"].as_str().unwrap_or_default();
    ensure!(
        !["trampoline", "bpf_prog", "pin_user_pages"]
            .iter()
            .any(|inside| first.contains(inside)),
        "a call path begins at the caller: {stack:?}"
    );
    let subsystem = ask(bench, "subsystem", &["--suspects"])?;
    ensure!(
        subsystem.pins_of("subsystem", "io_uring_buffers") == pages,
        "{subsystem:?}"
    );
    let file = ask(bench, "file", &["--suspects"])?;
    let [row] = file.rows.as_slice() else {
        bail!("pages of one file leak: {file:?}");
    };
    let path = row.about["file"]["file"]["path"].as_str();
    ensure!(
        row.pins.value == pages && path.is_some_and(|path| path.ends_with("memfd:workload")),
        "a memfd called workload is pinned: {file:?}"
    );
    check_sums(bench, pages, "after the owner's death")?;

    workload.finish()?;
    until_pinned(bench, 0)?;
    let cured = ask(bench, "process", &["--suspects"])?;
    ensure!(cured.rows.is_empty(), "released, yet told: {cured:?}");
    check_sums(bench, 0, "after the heir's death")
}

/// Killed, it waits in its exit for a disk that has yet to answer.
pub(super) fn a_killed_process_that_waits_for_a_disk_in_its_exit_is_exiting_and_no_suspect(
    bench: &Bench,
) -> Result<()> {
    let _agent = bench.shared_agent(&[])?;
    let mut workload = Stepped::start(bench, &["late-end", "--pages", "16"])?;
    let pages = workload.reach("held")?.pages_pinned;
    let pid = workload.pid();
    workload.kill()?;
    until("a row of a process that exits", bench.patience, || {
        let report = ask(bench, "process", &[])?;
        Ok(match report.of_pid(pid).as_slice() {
            [row] if row.about["process"]["life"] == "exiting" => Look::Done(()),
            _ => Look::NotYet(format!("{report:?}")),
        })
    })?;
    let exits = Instant::now();
    until(
        "as long as it takes to suspect the dead",
        bench.patience,
        || {
            let report = ask(bench, "process", &[])?;
            let [row] = report.of_pid(pid)[..] else {
                bail!("one process exits: {report:?}");
            };
            ensure!(
                row.pins.value >= pages
                    && row.about["process"]["life"] == "exiting"
                    && row.suspected.is_empty(),
                "it has {pages} pins until its exit is over: {report:?}"
            );
            Ok(if exits.elapsed() > SOON {
                Look::Done(())
            } else {
                Look::NotYet("not so long yet".to_owned())
            })
        },
    )?;
    workload.wait_for_killed()?;
    until_pinned(bench, 0)?;
    check_sums(bench, 0, "after its end")
}

/// As of a machine that was killed and had a terabyte.
pub(super) fn pins_that_a_dead_process_s_heir_releases_slowly_are_told_as_released_and_no_leak(
    bench: &Bench,
) -> Result<()> {
    let _agent = bench.shared_agent(&[])?;
    let arguments = ["leak", "--pages", "16", "--rings", "30", "--every", "200ms"];
    let mut workload = Stepped::start(bench, &arguments)?;
    let pages = workload.reach("held")?.pages_pinned;
    let pid = workload.pid();
    workload.end_and_leave_heirs()?;
    until_suspected(bench, pid)?;
    // Its heir begins now.
    workload.finish()?;
    let told = until("pins that get fewer", bench.patience, || {
        let report = ask(bench, "process", &[])?;
        let rows = report.of_pid(pid);
        let told = rows
            .iter()
            .find_map(|it| Some((it.releases_per_second?, it.pins.value, it.suspected.clone())));
        Ok(told.map_or_else(|| Look::NotYet(format!("{report:?}")), Look::Done))
    })?;
    let (speed, left, suspected) = told;
    // 80 a second, or fewer where the heir has to wait for a CPU.
    ensure!(
        (1..=160).contains(&speed) && (1..pages).contains(&left) && suspected.is_empty(),
        "of {pages} pins {left} are left, {speed} are released a second: {suspected:?}"
    );
    until_pinned(bench, 0)?;
    check_sums(bench, 0, "after the heir's end")
}

/// The start time tells them apart.
pub(super) fn a_pid_that_comes_again_is_another_owner(bench: &Bench) -> Result<()> {
    let _agent = bench.shared_agent(&[])?;
    let mut dead = Stepped::start(bench, &["leak", "--pages", "64"])?;
    let leaked = dead.reach("held")?.pages_pinned;
    let pid = dead.pid();
    dead.end_and_leave_heirs()?;

    let mut again = start_as(bench, pid, &["uring-fixed", "--pages", "32"])?;
    let held = again.reach("held")?.pages_pinned;
    until_suspected(bench, pid)?;
    let report = ask(bench, "process", &[])?;
    let rows = report.of_pid(pid);
    let of = |life: &str| {
        let theirs = rows
            .iter()
            .filter(|row| row.about["process"]["life"] == life);
        theirs
            .map(|row| (row.pins.value, !row.suspected.is_empty()))
            .collect::<Vec<_>>()
    };
    ensure!(
        of("ended") == [(leaked, true)] && of("alive") == [(held, false)],
        "pid {pid} is a dead process with {leaked} pages and a living one with {held}: {report:?}"
    );
    check_sums(bench, leaked + held, "with one pid twice")?;
    again.reach("released")?;
    again.finish()?;
    check_sums(bench, leaked, "with the living one's released")?;
    dead.finish()?;
    until_pinned(bench, 0)?;
    check_sums(bench, 0, "with both released")
}

/// Starts a workload under a process id that is free.
fn start_as(bench: &Bench, pid: u32, arguments: &[&str]) -> Result<Stepped> {
    until("a process with a certain id", bench.patience, || {
        std::fs::write(LAST_PID, (pid - 1).to_string())
            .map_err(|error| absent(format!("{LAST_PID} cannot be written: {error}")))?;
        let workload = Stepped::start(bench, arguments)?;
        // Another process of the guest may have been forked in between.
        Ok(if workload.pid() == pid {
            Look::Done(workload)
        } else {
            Look::NotYet(format!("{} came instead of {pid}", workload.pid()))
        })
    })
}

fn until_suspected(bench: &Bench, pid: u32) -> Result<Report> {
    until("a suspect", bench.patience, || {
        let report = ask(bench, "process", &["--suspects"])?;
        let dead = |row: &&Row| row.suspected == ["owner_dead"];
        Ok(if report.of_pid(pid).iter().any(dead) {
            Look::Done(report)
        } else {
            Look::NotYet(format!("process {pid} is not suspected: {report:?}"))
        })
    })
}
