//! The command line and its verbs: each puts together what lies below.

mod ask;
mod census;
mod cli;
mod doctor;
mod documents;
mod failure;
mod manager;
mod pins;
mod record;
mod replay;
mod run;
mod start;
mod switch;
mod verdicts;
mod verify;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use cli::{Cli, Command};

/// The command line as it is defined, for what is made from that: manual pages, completions.
pub fn command_line() -> clap::Command {
    Cli::command()
}

/// Does what the command line says.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    env_logger::Builder::new().parse_filters(&cli.log).init();
    let outcome = match &cli.command {
        Command::Run(options) => run::run(options, None),
        Command::Record(options) => record::record(options),
        Command::Replay(options) => replay::replay(options),
        Command::Pins(options) => pins::pins(options),
        Command::Census(options) => census::census(options),
        Command::Verdicts(options) => verdicts::verdicts(options),
        Command::Doctor(options) => doctor::doctor(options),
        Command::Verify => verify::verify(),
        Command::Documents(options) => documents::documents(options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report();
            failure.exit_code()
        }
    }
}
