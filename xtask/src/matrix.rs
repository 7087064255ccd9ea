//! `cargo xtask matrix`: the kernel tests on every kernel of the lab, attached in either way.
//! Leaves out every check that needs no guest, which is `cargo xtask test`.

pub(crate) mod absent;
pub(crate) mod cell;
pub(crate) mod pool;
mod report;
pub(crate) mod verifier;

use std::{
    collections::BTreeSet,
    num::NonZero,
    process::ExitCode,
    sync::atomic::{AtomicUsize, Ordering},
    time::Instant,
};

use clap::ValueEnum;

use crate::{arch::Arch, build, kernels, say, setup};
use cell::{Cell, Mode, Outcome, Set, Work};
use report::Report;

/// What to run, and where.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Kernels to boot; all of them if none is named
    #[arg(long, value_name = "SERIES")]
    kernel: Vec<String>,
    /// Ways to attach; fentry and kprobe if none is named
    #[arg(long, value_name = "MODE")]
    attach: Vec<Mode>,
    /// Which tests; other than the usual ones need guests of their own
    #[arg(
        long,
        value_name = "SET",
        default_value = "usual",
        conflicts_with = "verifier"
    )]
    set: Set,
    /// Guests at once; three for every two CPUs of this machine if not said
    #[arg(long, value_name = "NUMBER")]
    parallel: Option<NonZero<usize>>,
    /// Only what the verifier makes of each program, no test
    #[arg(long, conflicts_with = "tests")]
    verifier: bool,
    /// Write what is absent, what the verifier counted and the kernels' facts into the repository
    #[arg(long)]
    record: bool,
    /// How the result is printed
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
    /// Only tests whose names contain one of these
    #[arg(value_name = "TEST")]
    tests: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

pub(crate) fn verb(options: &Options) -> anyhow::Result<ExitCode> {
    let start = Instant::now();
    let cells = cells(options)?;
    let mut known_absent = absent::Record::read()?;
    let known_verified = verifier::Record::read()?;
    let archs: BTreeSet<_> = cells.iter().map(|it| Arch::of_kernel(&it.kernel)).collect();
    archs.iter().copied().try_for_each(setup::all)?;
    for cell in &cells {
        kernels::store::bring(&kernels::locked(&cell.kernel)?)?;
    }
    for arch in archs {
        build::all(arch)?;
    }
    let parallel = options.parallel.map_or_else(pool::usual, NonZero::get);
    say::step(
        "matrix",
        format_args!("guests: {}, {parallel} at once", cells.len()),
    );
    let mut outcomes = run(cells, parallel);
    if options.record {
        record(&outcomes, &mut known_absent, known_verified)?;
    }
    for (cell, outcome) in &mut outcomes {
        known_absent.hold(cell, outcome);
    }
    finish(options, report(outcomes, start)?)
}

/// Runs every cell and gives the outcomes in the cells' order.
fn run(cells: Vec<Cell>, parallel: usize) -> Vec<(Cell, Outcome)> {
    let ended = AtomicUsize::new(0);
    let mut outcomes = pool::run(&longest_first(&cells), parallel, |place| {
        let cell = &cells[*place];
        let outcome = cell.run();
        say::step(
            "guest",
            format_args!(
                "{} of {}: {} {} in {:.0} s: {} passed, {} failed, {} absent",
                ended.fetch_add(1, Ordering::Relaxed) + 1,
                cells.len(),
                cell.kernel,
                cell.mode,
                outcome.seconds,
                outcome.passed.len(),
                outcome.failed.len(),
                outcome.absent.len()
            ),
        );
        (*place, outcome)
    });
    outcomes.sort_by_key(|(place, _)| *place);
    let outcomes = outcomes.into_iter().map(|(_, outcome)| outcome);
    cells.into_iter().zip(outcomes).collect()
}

/// The cells' places: those in which every program is verified, and then the others, each time new
/// kernels before old ones, which have fewer hooks.
fn longest_first(cells: &[Cell]) -> Vec<usize> {
    let mut order: Vec<_> = (0..cells.len()).rev().collect();
    order.sort_by_key(|place| !cells[*place].work.verifier);
    order
}

fn cells(options: &Options) -> anyhow::Result<Vec<Cell>> {
    let series = match options.kernel.as_slice() {
        [] => kernels::series()?,
        named => named.to_vec(),
    };
    for series in &series {
        kernels::locked(series)?;
    }
    let everything = options.tests.is_empty();
    let mut cells = Vec::new();
    for kernel in series {
        let modes = match options.attach.as_slice() {
            // The programs of all are loaded in one guest.
            [] if options.verifier => &[Mode::Fentry],
            // By itself the agent takes neither way alone there.
            [] if kernels::facts::is_preemptible(&kernel)? => {
                &[Mode::Fentry, Mode::Kprobe, Mode::Auto][..]
            }
            [] => &[Mode::Fentry, Mode::Kprobe],
            named => named,
        };
        for (number, mode) in modes.iter().enumerate() {
            cells.push(Cell {
                kernel: kernel.clone(),
                mode: *mode,
                work: Work {
                    set: options.set,
                    tests: (!options.verifier).then(|| options.tests.clone()),
                    // One cell has them, the one without work of the verifier; unless they were
                    // named, and then for each.
                    either_way: !everything || number + 1 == modes.len(),
                    verifier: everything && number == 0 && options.set == Set::Usual,
                },
            });
        }
    }
    Ok(cells)
}

fn record(
    outcomes: &[(Cell, Outcome)],
    absent: &mut absent::Record,
    mut verified: verifier::Record,
) -> anyhow::Result<()> {
    for (cell, outcome) in outcomes {
        // Of the verifier nobody expects it.
        if cell.work.tests.is_some()
            && let Some(why) = absent::why_not_taken_over(cell, outcome)
        {
            let Cell { kernel, mode, .. } = cell;
            say::step(
                "record",
                format_args!("{kernel} {mode}: the list of absent tests stays as it is: {why}"),
            );
        }
    }
    absent.update(outcomes, &kernels::every_series()?);
    absent.write()?;
    verified.update(outcomes);
    verified.write()?;
    for (cell, outcome) in outcomes {
        if let Some(facts) = &outcome.facts {
            kernels::facts::write(&cell.kernel, facts)?;
        }
    }
    kernels::add::write_document()
}

fn report(outcomes: Vec<(Cell, Outcome)>, start: Instant) -> anyhow::Result<Report> {
    Ok(Report {
        verifier: verifier::Record::read()?.check(&outcomes),
        seconds: start.elapsed().as_secs_f32(),
        outcomes,
    })
}

fn finish(options: &Options, report: Report) -> anyhow::Result<ExitCode> {
    match options.format {
        Format::Text => println!("\n{}", report.text()),
        Format::Json => println!("{}", serde_json::to_string_pretty(&report.json())?),
    }
    Ok(if report.is_good() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
