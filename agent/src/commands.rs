//! The command line and its verbs: each puts together what lies below.

mod ask;
mod census;
mod cli;
mod config;
mod doctor;
mod documents;
mod failure;
mod logging;
mod manager;
mod pins;
mod record;
mod recording;
mod reload;
mod replay;
mod run;
mod settings;
mod signals;
mod start;
mod switch;
mod values;
mod verdicts;
mod verify;

use std::{env, ffi::OsString, path::PathBuf, process::ExitCode};

use clap::{CommandFactory as _, Parser as _};

use cli::{Cli, Command, ConfigOptions, ConfigVerb};
use failure::{Done, Failure};
use settings::Settings;

use crate::views::output;

/// The command line as it is defined, for what is made from that: manual pages, completions.
pub fn command_line() -> clap::Command {
    Cli::command()
}

/// Does what the command line says.
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(answer) => return told(&answer),
    };
    logging::filter(&cli.log);
    exit_code(act(&cli.command, arguments))
}

/// Help, the version, or what is wrong with the command line.
fn told(answer: &clap::Error) -> ExitCode {
    let printed = answer.print();
    if answer.use_stderr() {
        return ExitCode::from(u8::try_from(answer.exit_code()).unwrap_or(2));
    }
    exit_code(output::printed(printed).map_err(Failure::Running))
}

fn exit_code(done: Done) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report();
            failure.exit_code()
        }
    }
}

fn act(command: &Command, arguments: Vec<OsString>) -> Done {
    let settings = |config: &Option<PathBuf>| Settings::read(arguments.clone(), config.as_deref());
    let needed = |config| settings(config).map_err(Failure::Start);
    // The agent's file says where it is asked, too; one that cannot be used keeps nobody from asking.
    let asks = matches!(command, Command::Pins(_) | Command::Verdicts(_));
    let asked = asks.then(|| settings(&None).ok()).flatten();
    match asked.as_ref().map_or(command, |it| &it.cli.command) {
        Command::Run(options) => run::run(needed(&options.config)?, None),
        Command::Record(options) => record::record(needed(&options.run.config)?, &options.output),
        Command::Replay(options) => replay::replay(options),
        Command::Pins(options) => pins::pins(options),
        Command::Census(options) => census::census(options),
        Command::Verdicts(options) => verdicts::verdicts(options),
        Command::Config(ConfigOptions { verb }) => match verb {
            ConfigVerb::Check(options) => config::check(options),
            ConfigVerb::Show(options) => {
                config::show(&needed(&options.run.config)?, options.format)
            }
        },
        Command::Doctor(options) => doctor::doctor(options, settings(&options.config)),
        Command::Verify => verify::verify(),
        Command::Documents(options) => documents::documents(options),
    }
}
