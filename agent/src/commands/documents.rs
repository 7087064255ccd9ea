//! Prints what documents, dashboards and rules are made from and held against: every name that is
//! a contract.

use clap::CommandFactory as _;
use estimator::Doubt;
use probe_abi::Lost;
use serde::Serialize;

use super::{
    cli::{Cli, DocumentsOptions, Part},
    config,
    failure::{Done, Failure},
};
use crate::{
    kernel::facts::Privileges,
    views::{
        metrics::document::{self, Described},
        output,
    },
};

/// Every name.
#[derive(Debug, Serialize)]
struct Names {
    metrics: Vec<Described>,
    /// Causes of loss, in the order of their counters.
    losses: [&'static str; Lost::COUNT],
    /// Why a verdict is uncertain.
    doubts: Vec<&'static str>,
    capabilities: Vec<&'static str>,
    commands: Vec<Verb>,
}

/// A verb of the command line; the first is the program without one.
#[derive(Debug, Serialize)]
struct Verb {
    name: String,
    /// What `--help` says.
    help: String,
    /// As they are given.
    options: Vec<String>,
}

pub(super) fn documents(options: &DocumentsOptions) -> Done {
    match options.part {
        Part::Metrics => output::print(&document::page()),
        Part::Config => output::print(&config::template()),
        Part::All => output::print(&names()),
    }
    .map_err(Failure::Running)
}

fn names() -> serde_json::Value {
    let names = Names {
        metrics: document::described(),
        losses: Lost::NAMES,
        doubts: Doubt::ALL.into_iter().map(Doubt::name).collect(),
        capabilities: Privileges::NEEDED.into_iter().map(|(_, it)| it).collect(),
        commands: verbs(),
    };
    serde_json::json!(names)
}

fn verbs() -> Vec<Verb> {
    let mut program = Cli::command();
    program.build();
    let mut verbs = Vec::new();
    add(&program, &mut verbs);
    verbs
}

/// A verb, and those below it.
fn add(command: &clap::Command, verbs: &mut Vec<Verb>) {
    verbs.push(Verb {
        name: command.get_name().to_owned(),
        help: command.clone().render_long_help().to_string(),
        options: command.get_arguments().filter_map(option).collect(),
    });
    let shown = command.get_subcommands().filter(|it| !it.is_hide_set());
    shown.for_each(|it| add(it, verbs));
}

fn option(argument: &clap::Arg) -> Option<String> {
    argument.get_long().map(|it| format!("--{it}"))
}
