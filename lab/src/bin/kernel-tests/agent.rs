//! The real agent as a child process: started, asked, told to end. It never outlives a test.

use std::fs::{self, File};
use std::io::{Read, Seek};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::FileExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde::de::DeserializeOwned;

use crate::bench::{Bench, Outlook};
use crate::manager::Manager;
use crate::metrics::Metrics;
use crate::moment;
use crate::wait::{Look, until};

/// A running agent that has answered once.
#[derive(Debug)]
pub(crate) struct Agent {
    child: Child,
    log: File,
    output: File,
    address: SocketAddr,
    manager: Manager,
    patience: Duration,
}

/// An agent's end.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) output: String,
    pub(crate) log: String,
}

impl Agent {
    /// `pinscope run` with these arguments besides, answering at a port of its own.
    pub(crate) fn start(bench: &Bench, arguments: &[&str]) -> Result<Self> {
        Self::start_by(bench, arguments, |_command| {})
    }

    /// The same by somebody, or in surroundings, that `last_word` makes of the command.
    pub(crate) fn start_by(
        bench: &Bench,
        arguments: &[&str],
        last_word: impl FnOnce(&mut Command),
    ) -> Result<Self> {
        bench.needs_an_agent()?;
        bench.end_shared()?;
        let address = free_address()?;
        let manager = Manager::listen(bench.patience)?;
        let mut command = run_command(bench, address, arguments);
        manager.be_told_by(&mut command);
        last_word(&mut command);
        let (child, output, log) = spawn(&mut command)?;
        let mut agent = Self {
            child,
            log,
            output,
            address,
            manager,
            patience: bench.patience,
        };
        match agent.wait_for_first_answer() {
            Ok(()) => Ok(agent),
            Err(error) => Err(error.context(format!("the log: {}", read_all(&mut agent.log)?))),
        }
    }

    fn wait_for_first_answer(&mut self) -> Result<()> {
        until("the agent's first answer", self.patience, || {
            if let Some(status) = self.child.try_wait()? {
                bail!(
                    "the agent ended with {status}: {}",
                    read_all(&mut self.log)?
                );
            }
            Ok(match Metrics::scrape(self.address) {
                Ok(_) => Look::Done(()),
                Err(error) => Look::NotYet(format!("{error:#}")),
            })
        })
    }

    /// Where it answers.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until it tells its service manager this; what it told before is gone by then.
    pub(crate) fn tells(&self, wanted: &str) -> Result<()> {
        self.manager.hear(wanted)
    }

    /// Whether its log has this so far.
    pub(crate) fn has_logged(&self, text: &str) -> Result<bool> {
        // It writes where the file's position is: that is not to move.
        let mut log = vec![0; self.log.metadata()?.len() as usize];
        let read = self.log.read_at(&mut log, 0)?;
        Ok(String::from_utf8_lossy(&log[..read]).contains(text))
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it says of after whatever was done last: it reads everything once a second.
    pub(crate) fn scrape(&self) -> Result<Metrics> {
        until("a snapshot of now", self.patience, || {
            let now = Metrics::scrape(self.address).context("the agent cannot be scraped")?;
            let taken = now.number("pinscope_snapshot_timestamp_seconds");
            let taken = taken.context("a snapshot without a time")?;
            Ok(if moment::is_shown_by(taken) {
                Look::Done(now)
            } else {
                Look::NotYet(format!("it is of {taken}"))
            })
        })
    }

    /// When what it says of now was read, seconds since 1970.
    pub(crate) fn taken(&self) -> Result<f64> {
        let taken = self.scrape()?.number("pinscope_snapshot_timestamp_seconds");
        taken.context("a snapshot without a time")
    }

    /// Scrapes until `look` is content.
    pub(crate) fn scrape_until<T>(
        &self,
        what: &str,
        mut look: impl FnMut(&Metrics) -> Result<Look<T>>,
    ) -> Result<T> {
        until(what, self.patience, || look(&self.scrape()?))
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).context("the agent cannot be signalled")
    }

    /// Sends `signal` and waits for the end.
    pub(crate) fn end_by(mut self, signal: Signal) -> Result<Ended> {
        self.signal(signal)?;
        self.wait_for_end()
    }

    /// Ends it as a service manager does, and demands a clean end.
    pub(crate) fn end(self) -> Result<()> {
        let ended = self.end_by(Signal::TERM)?;
        ensure!(
            ended.status.success(),
            "the agent ended with {}: {}",
            ended.status,
            ended.log
        );
        Ok(())
    }

    /// Waits until it has ended by itself.
    pub(crate) fn wait_for_end(&mut self) -> Result<Ended> {
        let status = wait_for(&mut self.child, self.patience)?;
        Ok(Ended {
            status,
            output: read_all(&mut self.output)?,
            log: read_all(&mut self.log)?,
        })
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Both fail if it has ended already, which is what is wanted.
        let _ended_already = self.child.kill();
        let _ended_already = self.child.wait();
    }
}

/// Runs the agent with these arguments until it ends by itself.
pub(crate) fn run_to_end(
    bench: &Bench,
    arguments: &[&str],
    last_word: impl FnOnce(&mut Command),
) -> Result<Ended> {
    let mut command = Command::new(&bench.agent);
    command.args(arguments);
    last_word(&mut command);
    let (mut child, mut output, mut log) = spawn(&mut command)?;
    let status = wait_for(&mut child, bench.patience);
    if status.is_err() {
        child.kill()?;
        child.wait()?;
    }
    let status = status.with_context(|| format!("pinscope {}", arguments.join(" ")))?;
    Ok(Ended {
        status,
        output: read_all(&mut output)?,
        log: read_all(&mut log)?,
    })
}

/// What the agent answers in JSON, read as what it should be.
pub(crate) fn answer<T: DeserializeOwned>(bench: &Bench, arguments: &[&str]) -> Result<T> {
    let ended = run_to_end(bench, arguments, |_command| {})?;
    let asked = arguments.join(" ");
    ensure!(
        ended.status.success(),
        "pinscope {asked} ended with {}: {}",
        ended.status,
        ended.log
    );
    serde_json::from_str(&ended.output)
        .with_context(|| format!("pinscope {asked} answered {}", ended.output))
}

/// What the agent's doctor says of this kernel in this mode.
pub(crate) fn ask_doctor(bench: &Bench) -> Result<Outlook> {
    let arguments = ["doctor", "--format", "json", "--attach", &bench.attach];
    let ended = run_to_end(bench, &arguments, |_command| {})?;
    let report: serde_json::Value = serde_json::from_str(&ended.output)
        .with_context(|| format!("the doctor's report is no JSON: {}", ended.output))?;
    let hooks = report["hooks"].as_array().map_or(&[][..], Vec::as_slice);
    let blind = hooks.iter().filter(|it| it["state"] == "blind");
    let told = |it: &serde_json::Value| {
        let why = it["rejected"][0]["why"].as_str().unwrap_or_default();
        (
            it["hook"].as_str().unwrap_or_default().to_owned(),
            why.to_owned(),
        )
    };
    Ok(Outlook {
        cannot_run: report["problem"].as_str().map(str::to_owned),
        blind: blind.map(told).collect(),
    })
}

/// An address of loopback that nobody listens at.
pub(crate) fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .context("loopback cannot be used (is lo up?)")?;
    Ok(listener.local_addr()?)
}

fn run_command(bench: &Bench, address: SocketAddr, arguments: &[&str]) -> Command {
    let mut command = Command::new(&bench.agent);
    // For its self-test: the guest's own temporary files are in memory.
    command.env("TMPDIR", &bench.dir);
    // Tests of verdicts count every walk.
    command.env("PINSCOPE_WRITEBACK_HOOKS", "always");
    command.args(["run", "--listen", &address.to_string()]);
    if !arguments.contains(&"--attach") {
        command.args(["--attach", &bench.attach]);
    }
    command.args(arguments);
    command
}

/// Output goes to files without a name, so that a full pipe never stops the agent.
fn spawn(command: &mut Command) -> Result<(Child, File, File)> {
    let (output, log) = (unnamed_file("output")?, unnamed_file("log")?);
    let child = command
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(log.try_clone()?)
        .spawn()
        .with_context(|| format!("{} cannot be started", command.get_program().display()))?;
    Ok((child, output, log))
}

fn unnamed_file(name: &str) -> Result<File> {
    let path = std::env::temp_dir().join(format!("kernel-tests-{}-{name}", std::process::id()));
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&path);
    let file = file.with_context(|| format!("{} cannot be made", path.display()))?;
    fs::remove_file(&path)?;
    Ok(file)
}

fn read_all(file: &mut File) -> Result<String> {
    file.rewind()?;
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).trim().to_owned())
}

fn wait_for(child: &mut Child, patience: Duration) -> Result<ExitStatus> {
    until("the agent's end", patience, || {
        Ok(match child.try_wait().map_err(|error| anyhow!(error))? {
            Some(status) => Look::Done(status),
            None => Look::NotYet("it still runs".to_owned()),
        })
    })
}
