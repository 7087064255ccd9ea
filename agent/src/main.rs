//! pinscope: observes pinned memory on a live Linux kernel.
//!
//! Exit codes: 0 done; 1 something failed while it ran; 2 it could not start:
//! bad arguments, a busy port, or a kernel that cannot be traced.

mod attach;
mod books;
mod catalogue;
mod cli;
mod doctor;
mod error;
mod facts;
mod http;
mod judge;
mod kernel_layout;
mod metrics;
mod output;
mod plan;
mod run;
mod state;
mod summary;
mod vmstat;

use std::{error::Error, process::ExitCode};

use clap::Parser;
use cli::{Cli, Command};
use error::AgentError;

fn main() -> ExitCode {
    let cli = Cli::parse();
    env_logger::Builder::new().parse_filters(&cli.log).init();
    let outcome = match &cli.command {
        Command::Run(options) => run::run(options),
        Command::Doctor(options) => doctor::doctor(options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pinscope: {}", with_causes(&error));
            ExitCode::from(if error.is_at_start() { 2 } else { 1 })
        }
    }
}

/// The error and its causes on one line.
fn with_causes(error: &AgentError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(it) = source {
        text = format!("{text}: {it}");
        source = it.source();
    }
    text
}
