//! `kernel-tests`: runs the real agent and real workloads on the kernel it is started on, and
//! compares what the agent says with counts that are not the agent's. For guests of the lab.
//! It leaves out everything that a unit test can show.

use std::cell::{OnceCell, RefCell};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;

use bench::{Bench, Outlook};
use books::SETTLED_WITHIN;
use lab::absent::Absent;
use lab::pin_counters::PinCounters;
use wait::{Look, until};

mod agent;
mod bench;
mod books;
mod caller;
mod census;
mod company;
mod forbidden;
mod holders;
mod manager;
mod metrics;
mod moment;
mod tests;
mod tracing;
mod wait;
mod workload;

/// Test the agent on this very kernel. Needs root; nothing else on the machine should pin.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    /// Run only tests whose name contains one of these.
    names: Vec<String>,
    /// Which tests.
    #[arg(long, value_enum, default_value = "usual")]
    set: tests::Set,
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
    /// Leave out the tests that the way to attach has no bearing on: another run has them.
    #[arg(long)]
    this_way_only: bool,
    /// How long to wait for a condition before a test fails, in seconds.
    #[arg(long, default_value_t = 300)]
    patience: u64,
    /// Calls of each of eight threads that pin and release the same 512 pages; with 2500 of
    /// them those are 10 million pins.
    #[arg(long, default_value_t = 50)]
    churn_calls: usize,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let wanted = |name: &str| {
        cli.names.is_empty() || cli.names.iter().any(|part| name.contains(part.as_str()))
    };
    let tests: Vec<_> = tests::all(cli.set)
        .into_iter()
        .filter(|test| wanted(test.name) && !(cli.this_way_only && test.either_way))
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
    let mut bench = Bench {
        agent: cli.agent,
        workload: cli.workload,
        dir: cli.dir,
        attach: cli.attach,
        patience: Duration::from_secs(cli.patience),
        churn_calls: cli.churn_calls,
        outlook: Outlook::default(),
        shared: RefCell::default(),
        witness: OnceCell::new(),
    };
    let mut tally = Tally::default();
    match agent::ask_doctor(&bench) {
        Ok(outlook) => bench.outlook = outlook,
        Err(why) => tally.add("the_doctor_answers", Err(why)),
    }
    for test in &tests {
        let started = Instant::now();
        let outcome = nothing_is_pinned().and_then(|()| (test.run)(&bench));
        // What is absent has done nothing: the next test may have that agent.
        if outcome.as_ref().is_err_and(|why| !why.is::<Absent>()) {
            bench.drop_shared();
        }
        tally.add(test.name, outcome.map(|()| started.elapsed()));
    }
    if let Err(why) = bench.end_shared() {
        tally.add("the_shared_agent_ends_cleanly", Err(why));
    }
    tally.print()
}

/// Waits until the kernel has nothing pinned: what the test before had, a worker may still release,
/// and a test may hold its own pins against the kernel's count.
fn nothing_is_pinned() -> anyhow::Result<()> {
    until(
        "the release of an earlier test's pins",
        SETTLED_WITHIN,
        || {
            Ok(match PinCounters::read()?.outstanding() {
                0 => Look::Done(()),
                pins => Look::NotYet(format!("{pins} are left")),
            })
        },
    )
}

/// How many tests ended how.
#[derive(Debug, Default)]
struct Tally {
    passed: u32,
    failed: u32,
    absent: u32,
}

impl Tally {
    /// Counts one and says so, on a line whose first word the host goes by.
    fn add(&mut self, name: &str, outcome: anyhow::Result<Duration>) {
        match outcome {
            Ok(took) => {
                self.passed += 1;
                println!("ok   {name} ({:.1} s)", took.as_secs_f32());
            }
            Err(why) if why.is::<Absent>() => {
                self.absent += 1;
                println!("absent {name}: {why}");
            }
            Err(why) => {
                self.failed += 1;
                println!("FAIL {name}: {why:#}");
            }
        }
    }

    fn print(&self) -> ExitCode {
        let Self {
            passed,
            failed,
            absent,
        } = self;
        println!("{passed} passed, {failed} failed, {absent} absent");
        if *failed == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}
