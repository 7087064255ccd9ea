//! `service-tests`: the agent as the service that its unit describes, on the systemd that runs this
//! machine, held against workloads of another user. For systems of the lab.
//! It leaves out what the unit has no bearing on, which is `kernel-tests`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use lab::absent::Absent;

mod file_pins;
mod holders;
#[path = "../kernel-tests/metrics.rs"]
mod metrics;
#[path = "../kernel-tests/moment.rs"]
mod moment;
mod programs;
mod service;
mod systemd;
mod tests;
#[path = "../kernel-tests/tracing.rs"]
mod tracing;
#[path = "../kernel-tests/wait.rs"]
mod wait;
mod workload;

/// Test the agent as a service. Needs root, and systemd as PID 1.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    /// Run only tests whose name contains one of these.
    names: Vec<String>,
    /// Print the tests' names and do nothing.
    #[arg(long)]
    list: bool,
    /// The package and a later revision of it: it is installed, tested, upgraded and purged.
    #[arg(long, num_args = 2, value_names = ["DEB", "LATER"])]
    packages: Vec<PathBuf>,
    /// Pin pages of this file until standard input ends: what the tests start as another user.
    #[arg(long, hide = true)]
    pin_file: Option<PathBuf>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Some(path) = &cli.pin_file {
        return match file_pins::hold(path) {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => {
                eprintln!("service-tests: {why:#}");
                ExitCode::FAILURE
            }
        };
    }
    let wanted = |name: &str| {
        cli.names.is_empty() || cli.names.iter().any(|part| name.contains(part.as_str()))
    };
    let packages = match cli.packages.as_slice() {
        [first, later] => Some(tests::Packages {
            first: first.clone(),
            later: later.clone(),
        }),
        _ => None,
    };
    let tests: Vec<_> = tests::all(packages)
        .into_iter()
        .filter(|test| wanted(test.name))
        .collect();
    if tests.is_empty() {
        eprintln!(
            "service-tests: no test has {} in its name",
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
    let (mut passed, mut failed, mut absent) = (0, 0, 0);
    for test in &tests {
        let started = Instant::now();
        // The host goes by the first word of a line.
        match (test.run)() {
            Ok(()) => {
                passed += 1;
                let took = started.elapsed().as_secs_f32();
                println!("ok   {} ({took:.1} s)", test.name);
            }
            Err(why) if why.is::<Absent>() => {
                absent += 1;
                println!("absent {}: {why}", test.name);
            }
            Err(why) => {
                failed += 1;
                println!("FAIL {}: {why:#}", test.name);
            }
        }
    }
    println!("{passed} passed, {failed} failed, {absent} absent");
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
