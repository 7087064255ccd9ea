//! The service from its start to its end, and what it leaves behind.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, ensure};

use crate::programs;
use crate::service::{PATIENCE, UNIT, main_pid, running, scrape, start_afresh};
use crate::systemd::{property, systemctl};
use crate::wait::{Look, until};

/// The runtime directory of its unit.
const RUN: &str = "/run/pinscope";

pub(super) fn it_is_active_once_it_answers() -> Result<()> {
    let took = start_afresh()?;
    scrape()?;
    let kind = property(UNIT, "Type")?;
    ensure!(kind == "notify", "systemd does not wait for it: {kind}");
    let nanoseconds: f64 = property(UNIT, "CPUUsageNSec")?.parse()?;
    let bytes: u64 = property(UNIT, "MemoryCurrent")?.parse()?;
    println!(
        "note started in {:.1} s with {:.1} s of CPU, and takes {} MiB",
        took.as_secs_f32(),
        nanoseconds / 1e9,
        bytes >> 20
    );
    Ok(())
}

pub(super) fn it_stops_cleanly_and_leaves_nothing_in_the_kernel() -> Result<()> {
    systemctl(&["stop", UNIT])?;
    let before = programs::tracing()?;
    running()?;
    let during = programs::tracing()?;
    ensure!(during.len() > before.len(), "it traces with no program");
    let begun = Instant::now();
    systemctl(&["stop", UNIT])?;
    println!("note stopped in {:.1} s", begun.elapsed().as_secs_f32());
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
        Ok(if left == before {
            Look::Done(())
        } else {
            Look::NotYet(format!(
                "{} before it ran, {} after",
                before.len(),
                left.len()
            ))
        })
    })?;
    ensure!(!Path::new(RUN).exists(), "{RUN} is left");
    Ok(())
}

pub(super) fn it_is_started_again_when_it_is_killed() -> Result<()> {
    start_afresh()?;
    let before = main_pid()?;
    systemctl(&["kill", "--signal", "KILL", UNIT])?;
    until("another process of it", PATIENCE, || {
        let (state, pid) = (property(UNIT, "ActiveState")?, main_pid()?);
        Ok(match scrape() {
            Ok(_) if state == "active" && pid != before => Look::Done(()),
            _ => Look::NotYet(format!("process {pid} of it is {state}")),
        })
    })
}

pub(super) fn a_hangup_does_not_end_it() -> Result<()> {
    let before = running()?;
    systemctl(&["kill", "--signal", "HUP", UNIT])?;
    // Who is ended by a signal answers no more once it was sent.
    scrape()?;
    let after = main_pid()?;
    ensure!(
        after == before,
        "process {after} has taken {before}'s place"
    );
    Ok(())
}
