//! What systemd, and with it an operator, hears of the running service.

use anyhow::{Result, ensure};

use crate::service::{PATIENCE, UNIT, running};
use crate::systemd::property;
use crate::wait::{Look, until};
use crate::workload::Workload;

pub(super) fn the_status_says_what_is_pinned() -> Result<()> {
    running()?;
    let mut workload = Workload::start(&["uring-fixed", "--pages", "512"])?;
    workload.reach("held")?;
    status_becomes("2 MiB pinned by 512 pins")?;
    workload.go_on()?;
    workload.reach("released")?;
    workload.finish()?;
    status_becomes("0 B pinned by 0 pins")
}

/// It is of the last second, and names nothing that is wrong.
fn status_becomes(wanted: &str) -> Result<()> {
    until("the status", PATIENCE, || {
        let status = property(UNIT, "StatusText")?;
        Ok(if status == wanted {
            Look::Done(())
        } else {
            Look::NotYet(format!("it is {status:?} and not {wanted:?}"))
        })
    })
}

pub(super) fn it_is_watched() -> Result<()> {
    running()?;
    let watchdog = property(UNIT, "WatchdogUSec")?;
    ensure!(
        watchdog != "0" && watchdog != "infinity",
        "an agent that hangs is not noticed: WatchdogUSec is {watchdog}"
    );
    Ok(())
}
