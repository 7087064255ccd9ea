//! The service's count against the kernel's, of which it may not fold what each CPU keeps back.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::service::{PATIENCE, UNIT, running, scrape, start_afresh};
use crate::systemd::{run, systemctl};
use crate::wait::{Look, until};
use crate::workload::Workload;

/// How soon after the last pin the two are to agree.
const AT_REST_WITHIN: Duration = Duration::from_secs(10);

/// How often the two are compared under load.
const SCRAPES: usize = 40;

/// How long they are then looked at.
const STAYS_FOR: Duration = Duration::from_secs(10);

pub(super) fn a_host_at_rest_has_no_difference() -> Result<()> {
    systemctl(&["stop", UNIT])?;
    // Pins and releases on one CPU and the other, so that each has some that it keeps back.
    for pages in ["5", "37", "61"] {
        pin_and_release(pages)?;
    }
    start_afresh()?;
    at_rest("after the start")?;
    for pages in ["5", "64", "512"] {
        pin_and_release(pages)?;
        at_rest(&format!("after {pages} pages were pinned and released"))?;
    }
    Ok(())
}

pub(super) fn starts_under_load_leave_no_difference() -> Result<()> {
    for _ in 0..3 {
        let load = Load::start()?;
        start_afresh()?;
        load.is_seen()?;
        load.stop()?;
        at_rest("after a start under load")?;
    }
    Ok(())
}

pub(super) fn a_host_under_load_has_no_difference() -> Result<()> {
    running()?;
    let load = Load::start()?;
    load.is_seen()?;
    let found: Vec<_> = (0..SCRAPES).map(|_| difference()).collect::<Result<_>>()?;
    load.stop()?;
    let off: Vec<_> = found.iter().filter(|pages| **pages != 0).collect();
    ensure!(
        off.is_empty(),
        "{} of {SCRAPES} scrapes show a difference: {off:?}",
        off.len()
    );
    at_rest("after the load")
}

/// Many short pins of a few pages each, by another user: such as each CPU keeps back for itself.
struct Load;

impl Load {
    const UNIT: &str = "load.service";

    fn start() -> Result<Self> {
        let words = "--quiet --collect --uid=alice --unit=load -- /usr/local/bin/workload \
                     --dir=/var/tmp churn --memory=anon --pages=7 --threads=3 --calls=1000000000";
        run("systemd-run", &words.split_whitespace().collect::<Vec<_>>())?;
        Ok(Self)
    }

    /// Waits until the service has counted some of it.
    fn is_seen(&self) -> Result<()> {
        let counted = || scrape()?.sum("pinscope_pins_acquired_total");
        let before = counted()?;
        until("pins of the load", PATIENCE, || {
            Ok(match counted()? - before {
                1000.. => Look::Done(()),
                pages => Look::NotYet(format!("{pages} pages were pinned")),
            })
        })
    }

    fn stop(self) -> Result<()> {
        systemctl(&["stop", Self::UNIT]).map(drop)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _stopped_already = systemctl(&["stop", Self::UNIT]);
    }
}

fn pin_and_release(pages: &str) -> Result<()> {
    let mut workload = Workload::start(&["uring-fixed", "--pages", pages])?;
    workload.reach("held")?;
    workload.go_on()?;
    workload.reach("released")?;
    workload.finish()
}

fn difference() -> Result<i64> {
    scrape()?.sum("pinscope_unreconciled_pins")
}

/// Soon, and from then on.
fn at_rest(when: &str) -> Result<()> {
    until("the two counts to agree", AT_REST_WITHIN, || {
        Ok(match difference()? {
            0 => Look::Done(()),
            pages => Look::NotYet(format!("{when} {pages} pages are unreconciled")),
        })
    })?;
    let until = Instant::now() + STAYS_FOR;
    while Instant::now() < until {
        let pages = difference()?;
        ensure!(pages == 0, "{when} {pages} pages are unreconciled again");
    }
    Ok(())
}
