//! The command line and its verbs: each puts together what lies below.

mod cli;
mod doctor;
mod pins;
mod record;
mod replay;
mod run;
mod verdicts;
mod verify;

use std::process::ExitCode;

use clap::Parser;

use crate::error;
use cli::{Cli, Command};

/// Does what the command line says.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    env_logger::Builder::new().parse_filters(&cli.log).init();
    let outcome = match &cli.command {
        Command::Run(options) => run::run(options, None),
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
