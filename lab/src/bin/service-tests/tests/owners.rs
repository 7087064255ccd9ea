//! Owners that are another user's: alive while they are, ended once they have.

use anyhow::{Result, ensure};

use crate::holders::{ask, until_nothing_is_held};
use crate::moment;
use crate::service::{PATIENCE, running, scrape};
use crate::wait::{Look, until};
use crate::workload::Workload;

/// Pages that each workload pins: 2 MiB, within what systemd lets a user lock.
const PAGES: &str = "512";

/// Snapshots at which an owner is looked at.
const LOOKS: usize = 3;

pub(super) fn a_living_owner_of_another_user_is_alive_and_no_suspect() -> Result<()> {
    running()?;
    let mut workload = Workload::start(&["uring-fixed", "--pages", PAGES])?;
    let pages = workload.reach("held")?;
    let pid = workload.pid()?;
    for _ in 0..LOOKS {
        let report = ask("process")?;
        let [row] = report.rows.as_slice() else {
            anyhow::bail!("one process pins: {report:?}");
        };
        let process = &row.about["process"];
        ensure!(
            row.pins() == pages && process["pid"] == pid && process["comm"] == "workload",
            "process {pid} holds {pages} pages: {report:?}"
        );
        ensure!(
            process["life"] == "alive" && row.suspected.is_empty(),
            "process {pid} lives: {report:?}"
        );
        moment::has_passed();
    }
    let suspects = scrape()?.sum("pinscope_leak_suspects")?;
    ensure!(suspects == 0, "{suspects} suspects among the living");
    let bytes = scrape()?.sum("pinscope_pinned_bytes")?;
    ensure!(bytes == pages * 4096, "{bytes} bytes of {pages} pages");
    workload.go_on()?;
    workload.reach("released")?;
    workload.finish()?;
    until_nothing_is_held().map(drop)
}

pub(super) fn the_cgroup_of_an_owner_is_the_one_that_systemd_gave_it() -> Result<()> {
    running()?;
    let mut workload = Workload::start(&["uring-fixed", "--pages", PAGES])?;
    let pages = workload.reach("held")?;
    let cgroup = workload.cgroup()?;
    let report = ask("cgroup")?;
    let [row] = report.rows.as_slice() else {
        anyhow::bail!("one cgroup pins: {report:?}");
    };
    ensure!(
        row.pins() == pages && row.about["cgroup"]["path"] == cgroup.as_str(),
        "cgroup {cgroup} holds {pages} pages: {report:?}"
    );
    workload.go_on()?;
    workload.reach("released")?;
    workload.finish()?;
    until_nothing_is_held().map(drop)
}

pub(super) fn an_owner_that_has_ended_is_a_suspect_until_its_pins_are_gone() -> Result<()> {
    running()?;
    let mut workload = Workload::start(&["leak", "--pages", PAGES])?;
    let pages = workload.reach("held")?;
    let pid = workload.pid()?;
    workload.go_on()?;
    let suspected = until("a suspect", PATIENCE, || {
        let report = ask("process")?;
        let told = report.rows.iter().any(|row| !row.suspected.is_empty());
        Ok(if told && workload.pid()? != pid {
            Look::Done(report)
        } else {
            Look::NotYet(format!("{report:?}"))
        })
    })?;
    let [row] = suspected.rows.as_slice() else {
        anyhow::bail!("one process leaks: {suspected:?}");
    };
    let process = &row.about["process"];
    ensure!(
        row.pins() == pages && process["pid"] == pid && process["life"] == "ended",
        "process {pid} has ended and left {pages} pages: {suspected:?}"
    );
    let dead = scrape()?.sum_with("pinscope_leak_suspects", &[("reason", "owner_dead")]);
    ensure!(dead == 1, "{dead} suspects whose process has ended");
    workload.finish()?;
    let report = until_nothing_is_held()?;
    ensure!(report.rows.is_empty(), "released, yet told: {report:?}");
    Ok(())
}
