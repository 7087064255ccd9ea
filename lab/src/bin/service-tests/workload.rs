//! A workload as a service of another user, which stays in each phase until it is told to go on.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::moment;
use crate::systemd::{property, systemctl};

/// Who is not root here.
const USER: &str = "alice";

/// Where anybody may have files.
const FOLDER: &str = "/var/tmp";

/// A workload.
#[derive(Debug)]
pub(crate) struct Workload {
    unit: String,
    child: Child,
    word: Option<ChildStdin>,
    lines: BufReader<ChildStdout>,
}

#[derive(Debug, Deserialize)]
struct Phase {
    phase: String,
    counts: Counts,
}

#[derive(Debug, Deserialize)]
struct Counts {
    pages_pinned: i64,
}

impl Workload {
    /// Starts it, as a unit of its own.
    pub(crate) fn start(arguments: &[&str]) -> Result<Self> {
        let program = ["/usr/local/bin/workload", "--step", "--dir", FOLDER];
        Self::spawn(&[&program, arguments].concat())
    }

    /// Starts what pins pages of this file, which it makes; its one phase is `held`.
    pub(crate) fn file_pins(path: &str) -> Result<Self> {
        Self::spawn(&["/usr/local/bin/service-tests", "--pin-file", path])
    }

    fn spawn(command: &[&str]) -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let unit = format!(
            "workload-{}.service",
            NUMBER.fetch_add(1, Ordering::Relaxed)
        );
        let mut child = Command::new("systemd-run")
            .args(["--quiet", "--collect", "--pipe", "--wait"])
            .args(["--uid", USER, "--unit", &unit])
            .arg("--")
            .args(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("systemd-run cannot be started")?;
        let word = child.stdin.take();
        let lines = child.stdout.take().context("the workload has no output")?;
        Ok(Self {
            unit,
            child,
            word,
            lines: BufReader::new(lines),
        })
    }

    /// Waits until it announces this phase, in which it stays; gives the pages that it has pinned
    /// so far.
    pub(crate) fn reach(&mut self, wanted: &str) -> Result<i64> {
        let mut line = String::new();
        self.lines.read_line(&mut line)?;
        let announced: Phase = serde_json::from_str(&line)
            .with_context(|| format!("the workload announced no phase: {line:?}"))?;
        let Phase { phase, counts } = announced;
        if phase != wanted {
            bail!("phase {phase} came instead of {wanted}");
        }
        moment::has_passed();
        Ok(counts.pages_pinned)
    }

    /// Lets it leave its phase.
    pub(crate) fn go_on(&mut self) -> Result<()> {
        let word = self.word.as_mut().context("it was let go already")?;
        word.write_all(b"\n")?;
        Ok(())
    }

    /// Lets it leave its last phase, and everything that it left behind end.
    pub(crate) fn finish(mut self) -> Result<()> {
        drop(self.word.take());
        let status = self.child.wait()?;
        ensure!(status.success(), "the workload ended with {status}");
        moment::has_passed();
        Ok(())
    }

    /// Its main process; 0 once that has ended.
    pub(crate) fn pid(&self) -> Result<u32> {
        let pid = property(&self.unit, "MainPID")?;
        pid.parse().with_context(|| format!("main process {pid}"))
    }

    /// The cgroup of its unit.
    pub(crate) fn cgroup(&self) -> Result<String> {
        property(&self.unit, "ControlGroup")
    }
}

impl Drop for Workload {
    /// A test that failed in the middle.
    fn drop(&mut self) {
        if let Ok(Some(_ended)) = self.child.try_wait() {
            return;
        }
        let _ended_already = systemctl(&["stop", &self.unit]);
        let _ended_already = self.child.wait();
    }
}
