//! What systemd, and with it an operator, hears of the running service.

use anyhow::{Result, ensure};

use crate::service::{UNIT, running};
use crate::systemd::property;
use crate::workload::Workload;

pub(super) fn the_status_says_what_is_pinned() -> Result<()> {
    running()?;
    let mut workload = Workload::start(&["uring-fixed", "--pages", "512"])?;
    workload.reach("held")?;
    let status = property(UNIT, "StatusText")?;
    ensure!(
        status.contains("pinned") && status.contains("2"),
        "2 MiB are pinned, and the status is {status:?}"
    );
    workload.go_on()?;
    workload.reach("released")?;
    workload.finish()
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
