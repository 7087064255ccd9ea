//! `kernel-tests`: runs the real agent and real workloads on the kernel it is started on, and
//! compares what the agent says with counts that are not the agent's. For guests of the lab.
//! It leaves out everything that a unit test can show.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;

use bench::Bench;

mod agent;
mod bench;
mod metrics;
mod tests;
mod wait;
mod workload;

/// Test the agent on this very kernel. Needs root; nothing else on the machine should pin.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    /// Run only tests whose name contains one of these.
    names: Vec<String>,
    /// Print the tests' names and do nothing.
    #[arg(long)]
    list: bool,
    /// The agent.
    #[arg(long, default_value = "pinscope")]
    agent: PathBuf,
    /// The workload generator.
    #[arg(long, default_value = "workload")]
    workload: PathBuf,
    /// Directory for the workload's files: ext4, xfs or btrfs.
    #[arg(long, default_value = "/mnt/disk0")]
    dir: PathBuf,
    /// How the agent is to attach: auto, fentry or kprobe.
    #[arg(long, default_value = "auto")]
    attach: String,
    /// How long to wait for a condition before a test fails, in seconds.
    #[arg(long, default_value_t = 60)]
    patience: u64,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let wanted = |name: &str| {
        cli.names.is_empty() || cli.names.iter().any(|part| name.contains(part.as_str()))
    };
    let tests: Vec<_> = tests::all()
        .into_iter()
        .filter(|test| wanted(test.name))
        .collect();
    if tests.is_empty() {
        eprintln!(
            "kernel-tests: no test has {} in its name",
            cli.names.join(" or ")
        );
        return ExitCode::from(2);
    }
    if cli.list {
        for test in &tests {
            println!("{}", test.name);
        }
        return ExitCode::SUCCESS;
    }
    let bench = Bench {
        agent: cli.agent,
        workload: cli.workload,
        dir: cli.dir,
        attach: cli.attach,
        patience: Duration::from_secs(cli.patience),
    };
    let failed = tests.iter().filter(|test| !passes(test, &bench)).count();
    println!("{} passed, {failed} failed", tests.len() - failed);
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn passes(test: &tests::Test, bench: &Bench) -> bool {
    let started = Instant::now();
    let outcome = (test.run)(bench);
    let seconds = started.elapsed().as_secs_f32();
    match outcome {
        Ok(()) => {
            println!("ok   {} ({seconds:.1} s)", test.name);
            true
        }
        Err(why) => {
            println!("FAIL {}: {why:#}", test.name);
            false
        }
    }
}
