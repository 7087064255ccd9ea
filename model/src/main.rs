//! `model`: the estimators against every interleaving.

use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand, ValueEnum};
use estimator::{AsWritten, Estimator};
use model::document::{self, Block};
use model::finding::Finding;
use model::mutation::mutants;
use model::scenario::{Lock, Scenario, Setting, Size, Walks};
use model::search::search;
use model::table::{self, Effort};
use model::text;

/// Searches every interleaving of a modelled page for wrong verdicts.
#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    command: Command,
    /// How the result is printed.
    #[arg(long, global = true, value_enum, default_value_t)]
    format: Format,
}

#[derive(Subcommand)]
enum Command {
    /// Every estimator, setting and lock regime: states, and the shortest trace to each wrong verdict.
    Table {
        /// Search only the sizes that the tests search.
        #[arg(long)]
        quick: bool,
        /// Only this estimator.
        #[arg(value_parser = estimator_by_name)]
        estimator: Option<Estimator>,
        /// Put the tables, quick and full, and the traces into this document.
        #[arg(long, conflicts_with_all = ["quick", "estimator"])]
        write: Option<PathBuf>,
        /// Fail if the full table in this document is another.
        #[arg(long, conflicts_with_all = ["quick", "estimator", "write"])]
        check: Option<PathBuf>,
    },
    /// The shortest trace of one estimator to each wrong verdict, event by event.
    Trace {
        /// Whose.
        #[arg(value_parser = estimator_by_name)]
        estimator: Estimator,
        /// Only this finding.
        #[arg(value_parser = finding_by_name)]
        finding: Option<Finding>,
        /// Under these locks.
        #[arg(long, default_value = "held", value_parser = lock_by_name)]
        lock: Lock,
        /// In this setting.
        #[arg(long, default_value = "plain", value_parser = setting_by_name)]
        setting: Setting,
    },
    /// One search of a page as large as wanted: states, and the length of the shortest trace to each finding.
    Search {
        /// Who judges.
        #[arg(value_parser = estimator_by_name)]
        estimator: Estimator,
        /// Shared mappings, at most.
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(..=3))]
        entries: u8,
        /// Pins held from before, at most.
        #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(..=2))]
        pins: u8,
        /// GUPs, at most.
        #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(..=2))]
        gups: u8,
        /// Two walks instead of one.
        #[arg(long)]
        twice: bool,
        /// Under these locks.
        #[arg(long, default_value = "held", value_parser = lock_by_name)]
        lock: Lock,
        /// In this setting.
        #[arg(long, default_value = "plain", value_parser = setting_by_name)]
        setting: Setting,
    },
    /// Every comparison turned around, and what gives it away.
    Mutants,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For reading.
    #[default]
    Text,
    /// For programs.
    Json,
}

fn main() -> Result<()> {
    let Options { command, format } = Options::parse();
    let printed = match command {
        Command::Table {
            write: Some(path), ..
        } => return write_document(&path),
        Command::Table {
            check: Some(path), ..
        } => return check_document(&path),
        Command::Table {
            quick, estimator, ..
        } => {
            let effort = if quick { Effort::Quick } else { Effort::Full };
            searched_table(effort, estimator, format)?
        }
        Command::Trace {
            estimator,
            finding,
            lock,
            setting,
        } => traces(estimator, finding, lock, setting, format),
        Command::Search {
            estimator,
            entries,
            pins,
            gups,
            twice,
            lock,
            setting,
        } => {
            let walks = if twice { Walks::Two } else { Walks::One };
            let size = Size {
                entries,
                pins,
                gups,
                walks,
            };
            let found = search(
                Scenario {
                    estimator,
                    lock,
                    setting,
                    size,
                },
                AsWritten,
            );
            match format {
                Format::Text => text::found(&found),
                Format::Json => text::found_json(&found).to_string(),
            }
        }
        Command::Mutants => match format {
            Format::Text => text::mutants(&mutants()),
            Format::Json => text::mutants_json(&mutants()).to_string(),
        },
    };
    writeln!(std::io::stdout(), "{}", printed.trim_end()).context("cannot print the result")
}

fn searched_table(effort: Effort, only: Option<Estimator>, format: Format) -> Result<String> {
    let started = Instant::now();
    let rows = table::rows(effort, only);
    let missing = table::standstills(&rows);
    if !missing.is_empty() {
        bail!("the model does not move: {}", missing.join("; "));
    }
    Ok(match format {
        Format::Text => {
            let states: usize = rows.iter().flat_map(|it| &it.states).sum();
            let seconds = started.elapsed().as_secs_f64();
            format!(
                "{}\n{states} states in {seconds:.1} s\n",
                table::markdown(&rows)
            )
        }
        Format::Json => table::to_json(&rows).to_string(),
    })
}

fn traces(
    estimator: Estimator,
    only: Option<Finding>,
    lock: Lock,
    setting: Setting,
    format: Format,
) -> String {
    let mut shortest = std::collections::BTreeMap::new();
    for &size in Effort::Quick.sizes(setting) {
        let found = search(
            Scenario {
                estimator,
                lock,
                setting,
                size,
            },
            AsWritten,
        );
        for (finding, trace) in found.traces {
            let wanted = only.map_or(finding.is_fault(), |only| only == finding);
            let known = shortest
                .get(&finding)
                .is_some_and(|it: &model::search::Trace| it.steps.len() <= trace.steps.len());
            if wanted && !known {
                shortest.insert(finding, trace);
            }
        }
    }
    match format {
        Format::Text => text::traces(&shortest, lock),
        Format::Json => text::traces_json(&shortest, lock).to_string(),
    }
}

fn write_document(path: &std::path::Path) -> Result<()> {
    let text = document::read(path)?;
    let text = document::with(&text, Block::Quick, &document::generate(Block::Quick))?;
    let text = document::with(&text, Block::Traces, &document::generate(Block::Traces))?;
    let text = document::with(&text, Block::Mutants, &document::generate(Block::Mutants))?;
    let text = document::with(&text, Block::Full, &document::generate(Block::Full))?;
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn check_document(path: &std::path::Path) -> Result<()> {
    let text = document::read(path)?;
    let fresh = document::generate(Block::Full);
    if document::part(&text, Block::Full)? != fresh {
        bail!(
            "{} is stale: run `cargo run --release -p model -- table --write {0}`",
            path.display()
        );
    }
    writeln!(std::io::stdout(), "{fresh}").context("cannot print the result")
}

fn estimator_by_name(name: &str) -> Result<Estimator, String> {
    by_name(name, Estimator::ALL, Estimator::name)
}

fn finding_by_name(name: &str) -> Result<Finding, String> {
    by_name(name, Finding::ALL, Finding::name)
}

fn lock_by_name(name: &str) -> Result<Lock, String> {
    by_name(name, Lock::ALL, Lock::name)
}

fn setting_by_name(name: &str) -> Result<Setting, String> {
    by_name(name, Setting::ALL, Setting::name)
}

fn by_name<T: Copy, const N: usize>(
    name: &str,
    all: [T; N],
    name_of: fn(T) -> &'static str,
) -> Result<T, String> {
    all.into_iter()
        .find(|it| name_of(*it) == name)
        .ok_or_else(|| format!("`{name}` is none of {}", all.map(name_of).join(", ")))
}
