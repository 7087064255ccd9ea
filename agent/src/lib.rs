//! pinscope: observes pinned memory on a live Linux kernel.
//!
//! Exit codes: 0 done; 1 something failed while it ran; 2 it could not start:
//! bad arguments, a busy port, or a kernel that cannot be traced.

mod attach;
mod books;
mod cli;
mod doctor;
mod error;
mod facts;
mod holders;
mod http;
mod mapped;
mod metrics;
mod output;
mod owners;
mod pins;
mod record;
mod replay;
mod run;
mod selftest;
mod settings;
mod socket;
mod state;
mod summary;
mod verdicts;
mod verify;
mod vmstat;

use std::process::ExitCode;

use clap::Parser;
use cli::{Cli, Command};
use run::AtEnd;

/// Does what the command line says.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    env_logger::Builder::new().parse_filters(&cli.log).init();
    let outcome = match &cli.command {
        Command::Run(options) => run::run(options, AtEnd::Summary),
        Command::Record(options) => record::record(options),
        Command::Replay(options) => replay::replay(options),
        Command::Pins(options) => pins::pins(options),
        Command::Verdicts(options) => verdicts::verdicts(options),
        Command::Doctor(options) => doctor::doctor(options),
        Command::Verify => verify::verify(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pinscope: {}", error::chain(&error));
            ExitCode::from(if error.is_at_start() { 2 } else { 1 })
        }
    }
}
