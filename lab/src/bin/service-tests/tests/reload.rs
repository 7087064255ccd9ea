//! The service's configuration file, and what `systemctl reload` makes of it.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use lab::absent::absent;

use crate::metrics::Metrics;
use crate::service::{ADDRESS, PATIENCE, UNIT, main_pid, running, scrape, start, with_setting};
use crate::systemd::{journal, property, run, systemctl};
use crate::wait::{Look, until};

const FILE: &str = "/etc/pinscope/pinscope.toml";

const SUCCESSFUL: &str = "pinscope_config_last_reload_successful";

/// The first version of systemd that has `Type=notify-reload`.
const NOTIFY_RELOAD: u32 = 253;

/// The file as it was shipped; it is so again with this one's end.
struct Shipped(String);

impl Shipped {
    fn read() -> Result<Self> {
        let text = fs::read_to_string(FILE).with_context(|| FILE.to_owned())?;
        Ok(Self(text))
    }

    fn with(&self, lines: &str) -> Result<()> {
        fs::write(FILE, format!("{}\n{lines}", self.0)).map_err(Into::into)
    }
}

impl Drop for Shipped {
    fn drop(&mut self) {
        let _ = fs::write(FILE, &self.0);
    }
}

pub(super) fn a_reload_takes_over_what_changed_and_fails_if_the_file_cannot_be_used() -> Result<()>
{
    let pid = running()?;
    let file = Shipped::read()?;
    file.with("suspect-after = '2h'\n")?;
    systemctl(&["reload", UNIT])?;
    until_it_logs("suspect-after from 1h to 2h")?;

    file.with("suspect_after = '3h'\n")?;
    let refused = systemctl(&["reload", UNIT]);
    ensure!(refused.is_err(), "a file with a fault is reloaded");
    until_it_logs("`suspect_after` is no setting; did you mean `suspect-after`?")?;
    ensure!(last_reload()? == 1.0, "the agent has read it");

    file.with("suspect-after = '3h'\nowners = 64\n")?;
    systemctl(&["reload", UNIT])?;
    until_it_logs("owners from 4096 to 64")?;
    until("the metric", PATIENCE, || {
        Ok(match last_reload()? {
            0.0 => Look::Done(()),
            other => Look::NotYet(format!("it is {other}")),
        })
    })?;

    drop(file);
    systemctl(&["reload", UNIT])?;
    until_it_logs("suspect-after from 2h to 1h")?;
    // It says that it has reloaded after it has logged what changed.
    until("the end of the reload", PATIENCE, || {
        Ok(match property(UNIT, "ActiveState")?.as_str() {
            "active" => Look::Done(()),
            other => Look::NotYet(format!("it is {other}")),
        })
    })?;
    ensure!(main_pid()? == pid, "another process was started");
    scrape().map(drop)
}

/// For operators who have systemd wait for the end of a reload.
pub(super) fn it_reloads_as_a_unit_of_type_notify_reload_does() -> Result<()> {
    let version = run("systemctl", &["--version"])?;
    let number = version.split_whitespace().nth(1).unwrap_or_default();
    let number: u32 = number.parse().with_context(|| version.clone())?;
    if number < NOTIFY_RELOAD {
        return Err(absent("this systemd has no Type=notify-reload"));
    }
    let done = with_setting("Type=notify-reload\nExecReload=", || {
        systemctl(&["stop", UNIT])?;
        start()?;
        systemctl(&["reload", UNIT])?;
        // systemd has waited.
        let log = journal(UNIT)?;
        ensure!(log.contains("nothing changed"), "{log}");
        Ok(())
    });
    systemctl(&["stop", UNIT])?;
    start()?;
    done
}

fn until_it_logs(wanted: &str) -> Result<()> {
    until(wanted, PATIENCE, || {
        let log = journal(UNIT)?;
        Ok(match log.contains(wanted) {
            true => Look::Done(()),
            false => Look::NotYet(format!("its log is {log}")),
        })
    })
}

fn last_reload() -> Result<f64> {
    let now = Metrics::scrape(ADDRESS)?;
    now.number(SUCCESSFUL).context("no metric of it")
}
