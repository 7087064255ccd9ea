//! The service from its start to its end, and what it leaves behind.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::programs;
use crate::service::{PATIENCE, UNIT, main_pid, running, scrape, with_setting};
use crate::systemd::{property, systemctl};
use crate::wait::{Look, until};

/// The runtime directory of its unit.
const RUN: &str = "/run/pinscope";

/// Files that it may open beyond those that it has: every client is one, and there may be 32.
const TO_SPARE: usize = 128;

pub(super) fn it_is_active_once_it_answers() -> Result<()> {
    running()?;
    scrape()?;
    let kind = property(UNIT, "Type")?;
    ensure!(kind == "notify", "systemd does not wait for it: {kind}");
    let nanoseconds: f64 = property(UNIT, "CPUUsageNSec")?.parse()?;
    let bytes: u64 = property(UNIT, "MemoryCurrent")?.parse()?;
    println!(
        "note it took {:.1} s of CPU so far, and takes {} MiB",
        nanoseconds / 1e9,
        bytes >> 20
    );
    Ok(())
}

pub(super) fn it_may_open_more_files_than_it_has() -> Result<()> {
    let pid = running()?;
    let limits = fs::read_to_string(format!("/proc/{pid}/limits"))?;
    let line = limits.lines().find(|it| it.starts_with("Max open files"));
    let soft = line.and_then(|it| it.split_whitespace().nth(3));
    let soft: usize = soft.context("no limit on open files")?.parse()?;
    let open = fs::read_dir(format!("/proc/{pid}/fd"))?.count();
    println!("note {open} of {soft} files are open");
    ensure!(open + TO_SPARE <= soft, "{open} of {soft} files are open");
    Ok(())
}

pub(super) fn it_stops_cleanly_and_leaves_nothing_in_the_kernel() -> Result<()> {
    running()?;
    ensure!(!programs::tracing()?.is_empty(), "it traces with nothing");
    let begun = Instant::now();
    systemctl(&["stop", UNIT])?;
    println!("note stopped in {:.1} s", begun.elapsed().as_secs_f32());
    check_ended_cleanly()
}

/// By itself, and with nothing left behind.
pub(super) fn check_ended_cleanly() -> Result<()> {
    for (name, wanted) in [
        ("ActiveState", "inactive"),
        ("Result", "success"),
        ("ExecMainStatus", "0"),
    ] {
        let found = property(UNIT, name)?;
        ensure!(found == wanted, "{name} is {found}, not {wanted}");
    }
    // The kernel takes programs down some time after their last user is gone.
    until("the end of its programs", PATIENCE, || {
        let left = programs::tracing()?;
        Ok(if left.is_empty() {
            Look::Done(())
        } else {
            Look::NotYet(format!("{} programs trace", left.len()))
        })
    })?;
    ensure!(!Path::new(RUN).exists(), "{RUN} is left");
    Ok(())
}

pub(super) fn it_is_started_again_when_it_is_killed() -> Result<()> {
    let before = running()?;
    with_setting("RestartSec=100ms", || {
        systemctl(&["kill", "--signal", "KILL", UNIT])?;
        until("another process of it", PATIENCE, || {
            let (state, pid) = (property(UNIT, "ActiveState")?, main_pid()?);
            Ok(if state == "active" && ![0, before].contains(&pid) {
                Look::Done(())
            } else {
                Look::NotYet(format!("process {pid} of it is {state}"))
            })
        })
    })
}
