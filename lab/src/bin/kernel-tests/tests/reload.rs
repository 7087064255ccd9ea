//! SIGHUP: settings of an agent at work change with its configuration file, all of them or none.

use std::fs;

use anyhow::{Result, ensure};
use rustix::process::Signal;

use super::held_pins::WORKLOADS_PIN;
use crate::agent::Agent;
use crate::bench::Bench;
use crate::wait::{Look, until};
use crate::workload::Stepped;

const ARMED: &str = "pinscope_writeback_hooks_armed";
const SUSPECTS: &str = "pinscope_leak_suspects";
const SUCCESSFUL: &str = "pinscope_config_last_reload_successful";
const SUCCEEDED: &str = "pinscope_config_last_reload_success_timestamp_seconds";

pub(super) fn a_hangup_changes_hooks_and_suspects_at_once_or_nothing_at_all(
    bench: &Bench,
) -> Result<()> {
    bench.needs_hook(WORKLOADS_PIN)?;
    bench.end_shared()?;
    let file = bench.dir.join("reload.toml");
    fs::write(&file, "writeback-hooks = 'never'\n")?;
    let config = ["--config", &file.display().to_string()];
    let agent = Agent::start_by(bench, &config, |command| {
        // A variable wins over the file.
        command.env_remove("PINSCOPE_WRITEBACK_HOOKS");
    })?;
    agent.tells("READY=1")?;
    let mut workload = Stepped::start(bench, &["hold", "--folios", "small"])?;
    workload.reach("held")?;
    let start = agent.scrape()?;
    ensure!(
        start.number(SUCCESSFUL) == Some(1.0),
        "{}",
        start.show(SUCCESSFUL)
    );
    ensure!(is_old(&agent)? == 0, "{}", start.show(SUSPECTS));

    fs::write(&file, "writeback-hooks = 'always'\nsuspect-after = '1s'\n")?;
    hang_up(&agent)?;
    agent.scrape_until("the new settings to show", |now| {
        let armed = now.number(ARMED);
        let old = now.sum_with(SUSPECTS, &[("reason", "old")]);
        Ok(match (armed, old) {
            (Some(1.0), 1..) => Look::Done(()),
            other => Look::NotYet(format!("{other:?}")),
        })
    })?;
    let succeeded = agent.scrape()?.number(SUCCEEDED);
    ensure!(
        succeeded > start.number(SUCCEEDED),
        "it is still of the start"
    );

    for (text, why) in [
        (
            "suspect-after = '1h'\nowners = 64\n",
            "owners from 4096 to 64",
        ),
        (
            "suspect-after = '1h'\nowner = 64\n",
            "did you mean `owners`?",
        ),
    ] {
        fs::write(&file, text)?;
        hang_up(&agent)?;
        until("the reason", bench.patience, || {
            Ok(match agent.has_logged(why)? {
                true => Look::Done(()),
                false => Look::NotYet(format!("{why} is not in its log")),
            })
        })?;
        let now = agent.scrape_until("the refusal to show", |now| {
            Ok(match now.number(SUCCESSFUL) {
                Some(0.0) => Look::Done(now.clone()),
                other => Look::NotYet(format!("{SUCCESSFUL} is {other:?}")),
            })
        })?;
        ensure!(
            now.number(SUCCEEDED) == succeeded,
            "{text}: its time has changed"
        );
        ensure!(is_old(&agent)? > 0, "{text}: a part of it was taken over");
    }
    fs::write(&file, "suspect-after = '1h'\n")?;
    hang_up(&agent)?;
    agent.scrape_until("the old settings to show", |now| {
        let old = now.sum_with(SUSPECTS, &[("reason", "old")]);
        Ok(match (now.number(SUCCESSFUL), old) {
            (Some(1.0), 0) => Look::Done(()),
            other => Look::NotYet(format!("{other:?}")),
        })
    })?;
    for phase in ["synced", "released", "settled"] {
        workload.reach(phase)?;
    }
    workload.finish()?;
    fs::remove_file(&file)?;
    agent.end()
}

fn hang_up(agent: &Agent) -> Result<()> {
    agent.signal(Signal::HUP)?;
    agent.tells("RELOADING=1")?;
    agent.tells("READY=1")
}

fn is_old(agent: &Agent) -> Result<i64> {
    Ok(agent.scrape()?.sum_with(SUSPECTS, &[("reason", "old")]))
}
