//! An agent that is told to end before it has started.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::clients::SOCKET;
use crate::agent::{Agent, free_address};
use crate::bench::Bench;
use crate::wait::{Look, until};

/// What it says then.
const SAID: &str = "it was told to end before it had started";

pub(super) fn told_to_end_while_it_starts_it_ends_without_having_started(
    bench: &Bench,
) -> Result<()> {
    bench.needs_an_agent()?;
    bench.end_shared()?;
    for signal in [Signal::TERM, Signal::INT] {
        ends_at_once(bench, &["run"], signal)?;
    }
    // Nothing of them is in the way of the next one.
    Agent::start(bench, &[])?.end()
}

pub(super) fn a_recording_to_a_pipe_that_nobody_reads_waits_and_can_be_ended(
    bench: &Bench,
) -> Result<()> {
    bench.needs_an_agent()?;
    bench.end_shared()?;
    let pipe = bench.dir.join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status()?;
    ensure!(made.success(), "mkfifo ended with {made}");
    let pipe = pipe.display().to_string();
    let ended = ends_at_once(bench, &["record", "--output", &pipe], Signal::TERM);
    fs::remove_file(&pipe)?;
    ended
}

/// An agent that is told to end as soon as it has its socket, before it attaches anything.
fn ends_at_once(bench: &Bench, verb: &[&str], signal: Signal) -> Result<()> {
    let address = free_address()?.to_string();
    let mut agent = Started(
        Command::new(&bench.agent)
            .args(verb)
            .args(["--attach", &bench.attach, "--listen", &address])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("the agent cannot be started")?,
    );
    let socket = Path::new(SOCKET);
    until("its socket", bench.patience, || {
        ensure!(agent.0.try_wait()?.is_none(), "it has ended by itself");
        Ok(match socket.exists() {
            true => Look::Done(()),
            false => Look::NotYet("it is not there".to_owned()),
        })
    })?;
    kill_process(Pid::from_child(&agent.0), signal)?;
    let status = until("its end", bench.patience, || {
        Ok(match agent.0.try_wait()? {
            Some(status) => Look::Done(status),
            None => Look::NotYet("it still runs".to_owned()),
        })
    })?;
    let (output, log) = agent.said()?;
    ensure!(
        status.success() && output.is_empty() && log.contains(SAID),
        "{verb:?} by {signal:?}: {status}: {output} {log}"
    );
    ensure!(!socket.exists(), "its socket is still there");
    Ok(())
}

/// It says a few lines until then: no pipe is full.
struct Started(Child);

impl Started {
    fn said(&mut self) -> Result<(String, String)> {
        let output = self.0.stdout.take().context("it has an output")?;
        let log = self.0.stderr.take().context("it has a log")?;
        Ok((
            std::io::read_to_string(output)?,
            std::io::read_to_string(log)?,
        ))
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ended_already = self.0.kill();
        let _ended_already = self.0.wait();
    }
}
