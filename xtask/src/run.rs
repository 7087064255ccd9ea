//! `cargo xtask run`: the agent, live: on this host if it can be traced, in the lab otherwise.
//! Leaves out what the agent does; it says that itself.

use std::{os::unix::process::CommandExt as _, process::Command, process::ExitCode};

use anyhow::Context as _;

use crate::{
    arch::Arch,
    build, kernels,
    lab::{Forward, Guest, Input},
    say, setup,
};

/// Where the agent serves its metrics unless told otherwise.
const PORT: u16 = 9969;

/// The kernel for those who named none: of this machine's architecture.
const KERNEL: &str = match Arch::HOST {
    Arch::X86_64 => "6.12",
    Arch::Aarch64 => "6.12-arm64",
};

/// Runs in the guest: the workload starts once the agent sees everything, and as long as it does.
const DEMO: &str = "\
(until wget -q -O /dev/null http://127.0.0.1:9969/metrics; do sleep 0.2; done
 workload demo --dir /mnt/disk0 >/tmp/demo.json 2>/tmp/demo.err ||
 { echo 'the demo workload ended:'; cat /tmp/demo.err; } >&2) &
exec pinscope run \"$@\"";

/// How to run the agent.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// End by itself after this time (30s, 5m), with a summary
    #[arg(long, value_name = "TIME")]
    duration: Option<String>,
    /// Run in the lab, on this kernel; `cargo xtask lab list` shows them
    #[arg(long, value_name = "SERIES")]
    kernel: Option<String>,
    /// How to attach: auto, fentry or kprobe
    #[arg(long, value_name = "MODE", value_parser = ["auto", "fentry", "kprobe"])]
    attach: Option<String>,
    /// More options for `pinscope run`
    #[arg(last = true)]
    agent: Vec<String>,
}

pub(crate) fn verb(options: &Options) -> anyhow::Result<ExitCode> {
    // Before any work: a busy port is found in a millisecond, not after minutes of set-up.
    drop(Forward::bind(PORT)?);
    let locked = kernels::locked(options.kernel.as_deref().unwrap_or(KERNEL))?;
    let arch = Arch::of_kernel(&locked.series);
    setup::all(arch)?;
    let binaries = build::all(arch)?;
    let why_not = match &options.kernel {
        Some(kernel) => Some(format!("kernel {kernel} was asked for")),
        None => why_not_here(options)?,
    };
    let arguments = agent_arguments(options);
    let Some(why_not) = why_not else {
        say::step("run", "this host can be traced: the agent runs on it");
        say::step("run", format_args!("http://127.0.0.1:{PORT}/metrics"));
        return Err(Command::new(build::guest::agent())
            .arg("run")
            .args(arguments)
            .exec())
        .context("cannot start the agent");
    };
    let kernel = kernels::store::bring(&locked)?;
    say::step(
        "run",
        format_args!("in the lab, on kernel {}: {why_not}", kernel.release),
    );
    say::step(
        "run",
        format_args!("http://127.0.0.1:{PORT}/metrics, as soon as the agent is ready"),
    );
    let mut guest = Guest::new(kernel, binaries);
    guest.command = ["sh", "-c", DEMO, "pinscope"].map(str::to_owned).to_vec();
    guest.command.extend(arguments);
    guest.disks = vec!["1G:ext4".parse()?];
    guest.memory = 2 << 30;
    guest.forward = Some(PORT);
    guest.input = Input::Nothing;
    guest.run().map(ExitCode::from)
}

/// Asks the agent itself. `None` if it can run here.
fn why_not_here(options: &Options) -> anyhow::Result<Option<String>> {
    let output = Command::new(build::guest::agent())
        .args(["doctor", "--quiet", "--log", "error"])
        .args(attach(options))
        .output()
        .context("cannot start the agent")?;
    if output.status.success() {
        return Ok(None);
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let reason = said.lines().find(|line| !line.trim().is_empty());
    Ok(Some(match reason {
        Some(reason) => format!("this host will not do ({})", reason.trim()),
        None => format!(
            "this host will not do (the agent's doctor ended with {})",
            output.status
        ),
    }))
}

fn agent_arguments(options: &Options) -> Vec<String> {
    let mut arguments = attach(options);
    if let Some(time) = &options.duration {
        arguments.extend(["--duration".to_owned(), time.clone()]);
    }
    arguments.extend(options.agent.iter().cloned());
    arguments
}

fn attach(options: &Options) -> Vec<String> {
    match &options.attach {
        Some(mode) => vec!["--attach".to_owned(), mode.clone()],
        None => Vec::new(),
    }
}
