//! The service's count against the kernel's, of which it may not fold what each CPU keeps back.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::holders::ask;
use crate::metrics::Metrics;
use crate::moment;
use crate::service::{PATIENCE, UNIT, next_scrape, running, scrape, start};
use crate::systemd::{run, systemctl};
use crate::wait::{Look, until};
use crate::workload::Workload;

/// How soon after the last pin the two are to agree.
const AT_REST_WITHIN: Duration = Duration::from_secs(10);

/// At how many snapshots, one a second, they are then to agree still; and how many are looked at
/// under load.
const STAYS_FOR: usize = 5;
const UNDER_LOAD: usize = 10;

pub(super) fn a_start_under_load_leaves_no_difference() -> Result<()> {
    systemctl(&["stop", UNIT])?;
    // On one CPU and the other, so that each has some counts that it keeps back.
    for pages in ["5", "37", "61"] {
        pin_and_release(pages)?;
    }
    let load = Load::start()?;
    let took = start()?;
    println!("note started under load in {:.1} s", took.as_secs_f32());
    load.is_seen()?;
    load.stop()?;
    at_rest("after a start under load")
}

pub(super) fn a_host_at_rest_has_no_difference() -> Result<()> {
    running()?;
    for pages in ["5", "64", "512"] {
        pin_and_release(pages)?;
    }
    at_rest("after pages were pinned and released")
}

pub(super) fn a_host_under_load_has_no_difference() -> Result<()> {
    running()?;
    let load = Load::start()?;
    load.is_seen()?;
    let found: Vec<_> = (0..UNDER_LOAD)
        .map(|_| difference(&next_scrape()?))
        .collect::<Result<_>>()?;
    load.stop()?;
    let off: Vec<_> = found.iter().filter(|pages| **pages != 0).collect();
    ensure!(
        off.is_empty(),
        "{} of {UNDER_LOAD} snapshots show a difference: {off:?}",
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
        let counted = || next_scrape()?.sum("pinscope_pins_acquired_total");
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

fn difference(now: &Metrics) -> Result<i64> {
    now.sum("pinscope_unreconciled_pins")
}

/// Soon, and from then on.
fn at_rest(when: &str) -> Result<()> {
    moment::has_passed();
    until("the two counts to agree", AT_REST_WITHIN, || {
        let now = scrape()?;
        Ok(match difference(&now)? {
            0 => Look::Done(()),
            _ => Look::NotYet(format!("{when}: {}", account(&now))),
        })
    })?;
    for _ in 0..STAYS_FOR {
        let now = next_scrape()?;
        ensure!(difference(&now)? == 0, "{when}, again: {}", account(&now));
    }
    Ok(())
}

/// What may be behind a difference.
fn account(now: &Metrics) -> String {
    let metrics = [
        "unreconciled_pins",
        "preexisting_pins",
        "pins",
        "in_flight_pages",
        "lost_total",
        "repaired_total",
        "hook_runs_missed_total",
        "audited_folios_total",
        "audit_rounds_total",
    ];
    let told = metrics.map(|it| now.show(&format!("pinscope_{it}")));
    format!("{}; {:?}", told.join(", "), ask("process"))
}
