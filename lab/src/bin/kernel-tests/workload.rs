//! The workload generator as a child process, and its own counts: the independent side of
//! every comparison. It says nothing about what the agent saw.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

use crate::bench::Bench;
use crate::moment;
use lab::absent::absent;

/// What a workload counted itself.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(crate) struct Counts {
    pub(crate) pages_pinned: i64,
    pub(crate) pages_released: i64,
    pub(crate) pages_referenced: i64,
    pub(crate) pages_unreferenced: i64,
    pub(crate) calls: i64,
    pub(crate) walks_pinned: i64,
    pub(crate) walks_not_pinned: i64,
}

#[derive(Debug, Deserialize)]
struct Report {
    counts: Counts,
}

/// Runs a workload to its end.
pub(crate) fn run(bench: &Bench, arguments: &[&str]) -> Result<Counts> {
    Beside::start(bench, arguments)?.finish()
}

/// The generator with these arguments.
pub(crate) fn command(bench: &Bench, arguments: &[&str]) -> Command {
    let mut command = Command::new(&bench.workload);
    command.arg("--dir").arg(&bench.dir).args(arguments);
    command
}

/// A workload that goes on by itself beside the test.
#[derive(Debug)]
pub(crate) struct Beside {
    child: Child,
    report: ChildStdout,
}

impl Beside {
    pub(crate) fn start(bench: &Bench, arguments: &[&str]) -> Result<Self> {
        let mut child = command(bench, arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("the workload cannot be started")?;
        let report = child.stdout.take().context("the workload has no output")?;
        Ok(Self { child, report })
    }

    pub(crate) fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Waits for its end.
    pub(crate) fn finish(mut self) -> Result<Counts> {
        let mut text = String::new();
        self.report.read_to_string(&mut text)?;
        let status = self.child.wait()?;
        moment::has_passed();
        ensure!(status.success(), "the workload ended with {status}: {text}");
        let last = text.lines().last().context("the workload said nothing")?;
        let report: Report =
            serde_json::from_str(last).with_context(|| format!("not a report: {last}"))?;
        Ok(report.counts)
    }
}

impl Drop for Beside {
    /// A test that failed in the middle.
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// A workload that stays in each phase until it is told to go on.
#[derive(Debug)]
pub(crate) struct Stepped {
    child: Child,
    word: Option<ChildStdin>,
    phases: BufReader<ChildStdout>,
    in_a_phase: bool,
}

/// A line of the workload.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Line {
    Phase { phase: String, counts: Counts },
    Absent { absent: String },
    Failed { failed: String },
    Report { counts: Counts },
}

/// What a workload has come to.
#[derive(Debug)]
pub(crate) enum Step {
    /// A phase, in which it stays.
    Phase(String, Counts),
    /// Its end.
    End(Counts),
}

impl Stepped {
    /// Starts it; [`Self::reach`] its first phase next.
    pub(crate) fn start(bench: &Bench, arguments: &[&str]) -> Result<Self> {
        Self::start_by(bench, arguments, |_command| {})
    }

    /// The same by somebody, or in surroundings, that `last_word` makes of the command.
    pub(crate) fn start_by(
        bench: &Bench,
        arguments: &[&str],
        last_word: impl FnOnce(&mut Command),
    ) -> Result<Self> {
        let mut command = command(bench, arguments);
        command.arg("--step");
        last_word(&mut command);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("the workload cannot be started")?;
        let word = child.stdin.take();
        let phases = child.stdout.take().context("the workload has no output")?;
        Ok(Self {
            child,
            word,
            phases: BufReader::new(phases),
            in_a_phase: false,
        })
    }

    /// Lets it leave its phase, if it is in one, and waits until it announces `phase`, in which it
    /// then stays.
    pub(crate) fn reach(&mut self, phase: &str) -> Result<Counts> {
        match self.advance()? {
            Step::Phase(announced, counts) if announced == phase => Ok(counts),
            other => bail!("{other:?} came instead of phase {phase}"),
        }
    }

    /// Lets it leave its phase, if it is in one, and waits for the next or its end. What it says
    /// that the kernel lacks makes the test absent.
    pub(crate) fn advance(&mut self) -> Result<Step> {
        if std::mem::replace(&mut self.in_a_phase, true) {
            self.send_word()?;
        }
        let mut line = String::new();
        self.phases.read_line(&mut line)?;
        moment::has_passed();
        let line = serde_json::from_str(&line)
            .with_context(|| format!("the workload announced nothing: {line}"))?;
        match line {
            Line::Phase { phase, counts } => Ok(Step::Phase(phase, counts)),
            Line::Absent { absent: why } => Err(absent(why)),
            Line::Failed { failed: why } => bail!("the workload failed: {why}"),
            Line::Report { counts } => {
                let status = self.child.wait()?;
                ensure!(status.success(), "the workload ended with {status}");
                Ok(Step::End(counts))
            }
        }
    }

    fn send_word(&mut self) -> Result<()> {
        let word = self
            .word
            .as_mut()
            .context("the workload was let go already")?;
        Ok(word.write_all(b"\n")?)
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets it leave its last phase and waits for its end; what it left behind ends with this
    /// value.
    pub(crate) fn end_and_leave_heirs(&mut self) -> Result<()> {
        self.send_word()?;
        let status = self.child.wait()?;
        moment::has_passed();
        ensure!(status.success(), "the workload ended with {status}");
        Ok(())
    }

    /// Kills it; [`Self::wait_for_killed`] next.
    pub(crate) fn kill(&mut self) -> Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::KILL)?;
        moment::has_passed();
        Ok(())
    }

    /// Ends its standard input and waits until it is gone that was killed.
    pub(crate) fn wait_for_killed(mut self) -> Result<()> {
        drop(self.word.take());
        let status = self.child.wait()?;
        moment::has_passed();
        ensure!(
            status.signal() == Some(Signal::KILL.as_raw()),
            "the workload ended with {status}"
        );
        Ok(())
    }

    /// Lets it leave its last phase and waits for its end.
    pub(crate) fn finish(mut self) -> Result<()> {
        drop(self.word.take());
        let status = self.child.wait()?;
        moment::has_passed();
        ensure!(status.success(), "the workload ended with {status}");
        Ok(())
    }
}

impl Drop for Stepped {
    /// A test that failed in the middle.
    fn drop(&mut self) {
        drop(self.word.take());
        end(&mut self.child);
    }
}

/// SIGTERM lets the workload release its pins and remove its files.
fn end(child: &mut Child) {
    if let Ok(Some(_ended)) = child.try_wait() {
        return;
    }
    let _ended_already = kill_process(Pid::from_child(child), Signal::TERM);
    let _ended_already = child.wait();
}
