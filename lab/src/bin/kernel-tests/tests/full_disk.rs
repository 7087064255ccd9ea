//! A disk without room for what the agent writes: it says so, and by which file. What others print,
//! and a reader that has gone away, the agent's own tests tell.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use super::held_pins::WORKLOADS_PIN;
use crate::agent::{Agent, Ended, free_address, run_to_end};
use crate::bench::Bench;
use crate::caller::after;
use crate::workload;

const FULL: &str = "/dev/full";
const NO_ROOM: &str = "No space left on device";

pub(super) fn a_recording_without_room_ends_by_name_with_what_was_seen(
    bench: &Bench,
) -> Result<()> {
    let arguments = ["--output", FULL, "--summary", "json"];
    let mut agent = Agent::start_by(bench, &arguments, |command| {
        *command = recording(command);
    })?;
    match bench.needs_hook(WORKLOADS_PIN) {
        // Far more than is kept back to be written at once.
        Ok(()) => drop(workload::run(
            bench,
            &["ring-flood", "--pages", "2048", "--rounds", "5"],
        )?),
        // Without samples all is written at the end.
        Err(_) => agent.signal(Signal::TERM)?,
    }
    let ended = agent.wait_for_end()?;
    check_named(&ended, FULL).context("a recording")?;
    let report: serde_json::Value = serde_json::from_str(&ended.output)
        .with_context(|| format!("no report of what was seen: {}", ended.output))?;
    ensure!(report.is_object(), "{report}");
    Ok(())
}

pub(super) fn what_cannot_be_printed_is_an_error(bench: &Bench) -> Result<()> {
    bench.needs_an_agent()?;
    bench.end_shared()?;
    let address = free_address()?.to_string();
    let file = bench.dir.join("printed.rec").display().to_string();
    let run = ["--attach", &bench.attach, "--listen", &address];
    let run = [&run[..], &["--duration", "1s"]].concat();
    for verb in [
        vec!["census"],
        vec!["verify"],
        [&["run"], &run[..]].concat(),
        [&["record", "--output", &file], &run[..]].concat(),
    ] {
        let ended = run_to_end(bench, &verb, |command| {
            *command = after(command, &format!("exec > {FULL}"));
        })?;
        check_named(&ended, "to standard output").with_context(|| format!("{verb:?}"))?;
    }
    Ok(())
}

/// Whether it ended for what it could not write.
fn check_named(ended: &Ended, what: &str) -> Result<()> {
    let named = format!("cannot write {what}: {NO_ROOM}");
    ensure!(
        ended.status.code() == Some(1) && ended.log.contains(&named),
        "{}: {}",
        ended.status,
        ended.log
    );
    Ok(())
}

/// The same as `pinscope record`.
fn recording(run: &Command) -> Command {
    let mut command = Command::new(run.get_program());
    command.arg("record").args(run.get_args().skip(1));
    let set = run.get_envs();
    command.envs(set.filter_map(|(name, value)| Some((name, value?))));
    command
}
