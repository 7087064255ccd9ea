//! The agent as a service: ends on time and on a signal, and tells the service manager.

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use crate::agent::{Agent, Ended, free_address, run_to_end};
use crate::bench::Bench;
use crate::caller::after_mounts;

pub(super) fn sigint_ends_it_cleanly(bench: &Bench) -> Result<()> {
    check_clean(&last_shared(bench)?.end_by(Signal::INT)?)
}

pub(super) fn sigterm_ends_it_cleanly_and_the_service_manager_hears_ready_and_stopping(
    bench: &Bench,
) -> Result<()> {
    let mut agent = last_shared(bench)?;
    agent.tells("READY=1")?;
    agent.signal(Signal::TERM)?;
    check_clean(&agent.wait_for_end()?)?;
    agent.tells("STOPPING=1")
}

/// Runs an agent for a set time, without tracefs, and demands a clean end with a summary.
pub(super) fn until_the_time_limit(bench: &Bench) -> Result<()> {
    bench.end_shared()?;
    let address = free_address()?.to_string();
    let arguments = [
        "run",
        "--attach",
        &bench.attach,
        "--listen",
        &address,
        "--duration",
        "1s",
        "--summary",
        "json",
    ];
    let hidden = "mount -t tmpfs none /sys/kernel/debug; mount -t tmpfs none /sys/kernel/tracing";
    let ended = run_to_end(bench, &arguments, |command| {
        *command = after_mounts(command, hidden);
    })?;
    check_clean(&ended)?;
    let summary: serde_json::Value = serde_json::from_str(&ended.output)
        .with_context(|| format!("the summary is not JSON: {}", ended.output))?;
    ensure!(summary.is_object(), "the summary is no object: {summary}");
    Ok(())
}

/// The agent that the tests before have shared, or a new one if this test runs alone.
fn last_shared(bench: &Bench) -> Result<Agent> {
    match bench.take_shared()? {
        Some(agent) => Ok(agent),
        None => Agent::start(bench, &[]),
    }
}

fn check_clean(ended: &Ended) -> Result<()> {
    ensure!(
        ended.status.success(),
        "it ended with {}: {}",
        ended.status,
        ended.log
    );
    Ok(())
}
