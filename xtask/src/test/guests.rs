//! The kernel tests in guests: every test on the kernels that every change is tested on, a few on one
//! that is far from them, and Debian's programs on one.
//! Leaves out the other kernels and the other ways to attach, which is `cargo xtask matrix`.

use std::sync::Arc;

use super::{Count, Job};
use crate::matrix::{
    absent,
    cell::{Cell, Mode, Set, Work},
};

/// A kernel with other functions and another preemption than the usual ones: there the agent
/// attaches by kprobes first.
const SMOKE: (&str, Mode) = ("7.3", Mode::Auto);

/// One of each kind: hooks are there, walks are judged, totals and owners are right.
const SMOKE_TESTS: [&str; 4] = [
    "every_family_of_hooks",
    "held_pins_across_fsync",
    "of_more_rings_than_the_ledger_tells_apart",
    "references_of_a_pipe",
];

/// A kernel with the drivers that programs of Debian want, and on which direct I/O pins.
const PROGRAMS: &str = "6.12-generic";

/// A kernel on which direct I/O takes plain references, for a machine with one CPU.
const SINGLE: &str = "6.1";

/// A job for each kernel, the longest first: new ones have more hooks.
pub(super) fn jobs(series: &[String]) -> anyhow::Result<Vec<Job>> {
    let named = series.iter().rev();
    jobs_of(named.map(|kernel| cell(kernel, Mode::Auto, Set::Usual, &[])))
}

/// A job for each of the kernels besides.
pub(super) fn jobs_besides() -> anyhow::Result<Vec<Job>> {
    jobs_of([
        cell(PROGRAMS, Mode::Auto, Set::Programs, &[]),
        cell(SMOKE.0, SMOKE.1, Set::Usual, &SMOKE_TESTS),
        cell(SINGLE, Mode::Auto, Set::Single, &[]),
    ])
}

fn jobs_of(cells: impl IntoIterator<Item = Cell>) -> anyhow::Result<Vec<Job>> {
    let known = Arc::new(absent::Record::read()?);
    let job = |cell: Cell| {
        let known = Arc::clone(&known);
        let name = match cell.work.set {
            Set::Usual => format!("kernel {} {}", cell.kernel, cell.mode),
            set => format!("kernel {} {} {set}", cell.kernel, cell.mode),
        };
        Job::new(name, move || {
            let mut outcome = cell.run();
            known.hold(&cell, &mut outcome);
            let failed = outcome.failed.into_iter();
            Count {
                passed: outcome.passed.len(),
                failed: failed
                    .map(|it| format!("{}: {}", it.test, it.why))
                    .collect(),
            }
        })
    };
    Ok(cells.into_iter().map(job).collect())
}

fn cell(kernel: &str, mode: Mode, set: Set, tests: &[&str]) -> Cell {
    Cell {
        kernel: kernel.to_owned(),
        mode,
        work: Work {
            set,
            tests: Some(tests.iter().map(|it| (*it).to_owned()).collect()),
            either_way: true,
            verifier: false,
        },
    }
}

/// The kernels that are booted besides those that a person may name.
pub(super) fn kernels_besides() -> [&'static str; 3] {
    [SMOKE.0, PROGRAMS, SINGLE]
}
