//! The agent as a service: ends on time and on a signal, and tells the service manager.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use crate::agent::{Agent, Ended, free_address, run_to_end};
use crate::bench::Bench;
use crate::caller::after_mounts;

pub(super) fn sigint_ends_it_cleanly(bench: &Bench) -> Result<()> {
    let agent = match bench.take_shared()? {
        Some(agent) => agent,
        None => Agent::start(bench, &[])?,
    };
    check_clean(&agent.end_by(Signal::INT)?)
}

pub(super) fn a_time_limit_ends_it_with_a_summary_and_tracefs_is_not_needed(
    bench: &Bench,
) -> Result<()> {
    bench.needs_an_agent()?;
    bench.end_shared()?;
    let address = free_address()?.to_string();
    let arguments = [
        "run",
        "--attach",
        &bench.attach,
        "--listen",
        &address,
        "--for",
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

pub(super) fn sigterm_ends_it_cleanly_and_the_service_manager_hears_ready_and_stopping(
    bench: &Bench,
) -> Result<()> {
    let manager = Manager::listen(bench.patience)?;
    let agent = Agent::start_with(bench, &[], |command| {
        command.env("NOTIFY_SOCKET", &manager.path);
    })?;
    manager.hear("READY=1")?;
    agent.end()?;
    manager.hear("STOPPING=1")
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

/// The service manager's end of the notification socket.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    fn listen(patience: Duration) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("kernel-tests-{}-notify", std::process::id()));
        let socket = UnixDatagram::bind(&path)
            .with_context(|| format!("{} cannot be bound", path.display()))?;
        socket.set_read_timeout(Some(patience))?;
        Ok(Self { socket, path })
    }

    /// Reads messages until one has this line; others, such as a status, may come between.
    fn hear(&self, wanted: &str) -> Result<()> {
        let mut message = [0; 4096];
        loop {
            let length = self
                .socket
                .recv(&mut message)
                .with_context(|| format!("{wanted} never came"))?;
            let text = String::from_utf8_lossy(&message[..length]);
            if text.lines().any(|line| line == wanted) {
                return Ok(());
            }
        }
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        // A leftover name would only disturb a process of the same number.
        let _ignored = fs::remove_file(&self.path);
    }
}
