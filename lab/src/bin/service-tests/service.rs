//! The agent's service: started if it does not run, scraped, stopped. It judges nothing but that.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::metrics::Metrics;
use crate::moment;
use crate::systemd::{journal, property, systemctl};
use crate::wait::{Look, until};

/// Its unit.
pub(crate) const UNIT: &str = "pinscope.service";

/// Changes of it until the next boot.
const DROP_INS: &str = "/run/systemd/system/pinscope.service.d";

/// Where it answers, as shipped.
pub(crate) const ADDRESS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9969);

/// How long a test waits for a condition: emulated, on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Starts it unless it runs, and gives its main process.
pub(crate) fn running() -> Result<u32> {
    if property(UNIT, "ActiveState")? != "active" {
        start()?;
    }
    main_pid()
}

/// Starts it; gives how long systemd waited for it to be ready.
pub(crate) fn start() -> Result<Duration> {
    // Tests start it more often than the unit allows.
    systemctl(&["reset-failed"])?;
    let begun = Instant::now();
    if let Err(error) = systemctl(&["start", UNIT]) {
        return Err(error.context(format!("its log: {}", journal(UNIT)?)));
    }
    let took = begun.elapsed();
    let state = property(UNIT, "ActiveState")?;
    ensure!(state == "active", "systemctl start left it {state}");
    Ok(took)
}

/// Does something while its unit has another setting: one of systemd's times, for which a test need
/// not wait as long as an operator would.
pub(crate) fn with_setting(line: &str, act: impl FnOnce() -> Result<()>) -> Result<()> {
    fs::create_dir_all(DROP_INS)?;
    fs::write(
        Path::new(DROP_INS).join("test.conf"),
        format!("[Service]\n{line}\n"),
    )?;
    systemctl(&["daemon-reload"])?;
    let done = act();
    fs::remove_dir_all(DROP_INS)?;
    systemctl(&["daemon-reload"])?;
    done
}

/// Its main process.
pub(crate) fn main_pid() -> Result<u32> {
    let pid = property(UNIT, "MainPID")?;
    pid.parse().with_context(|| format!("main process {pid}"))
}

/// What it says of after whatever was done last: it reads everything once a second.
pub(crate) fn scrape() -> Result<Metrics> {
    until("a snapshot of now", PATIENCE, || {
        let now = Metrics::scrape(ADDRESS).context("the service cannot be scraped")?;
        let taken = now.number("pinscope_snapshot_timestamp_seconds");
        let taken = taken.context("a snapshot without a time")?;
        Ok(if moment::is_shown_by(taken) {
            Look::Done(now)
        } else {
            Look::NotYet(format!("it is of {taken}"))
        })
    })
}

/// What it says of later than anything that it has said so far.
pub(crate) fn next_scrape() -> Result<Metrics> {
    moment::has_passed();
    scrape()
}
