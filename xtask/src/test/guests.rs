//! The kernel tests in guests, side by side as far as there are CPUs: every test on the kernels that
//! every change is tested on, a few on one that is far from them, and Debian's programs on one.
//! Leaves out the other kernels and the other ways to attach, which is `cargo xtask matrix`.

use super::Count;
use crate::matrix::{
    absent,
    cell::{Cell, Mode, Set, Work},
    pool,
};

/// A kernel with other functions and another preemption than the usual ones, and the way to
/// attach that those do not take.
const SMOKE: (&str, Mode) = ("7.3", Mode::Kprobe);

/// One of each kind: hooks are there, walks are judged, totals are right.
const SMOKE_TESTS: [&str; 3] = [
    "every_family_of_hooks",
    "held_pins_across_fsync",
    "references_of_a_pipe",
];

/// A kernel with the drivers that programs of Debian want, and on which direct I/O pins.
const PROGRAMS: &str = "6.12-generic";

/// Tests every kernel and gives its name, count and seconds, in the order asked for.
pub(super) fn test(series: &[String], besides: bool) -> anyhow::Result<Vec<(String, Count, f32)>> {
    let known = absent::Record::read()?;
    let cell = |kernel: &str, mode, set, tests: &[&str]| Cell {
        kernel: kernel.to_owned(),
        mode,
        work: Work {
            set,
            tests: Some(tests.iter().map(|it| (*it).to_owned()).collect()),
            either_way: true,
            verifier: false,
        },
    };
    let mut cells: Vec<_> = series
        .iter()
        .map(|kernel| cell(kernel, Mode::Auto, Set::Usual, &[]))
        .collect();
    if besides {
        cells.insert(0, cell(SMOKE.0, SMOKE.1, Set::Usual, &SMOKE_TESTS));
        cells.push(cell(PROGRAMS, Mode::Auto, Set::Programs, &[]));
    }
    let done = pool::run(cells, pool::usual());
    Ok(done
        .into_iter()
        .map(|(cell, mut outcome)| {
            known.hold(&cell, &mut outcome);
            let count = Count {
                passed: outcome.passed.len() as u32,
                failed: outcome.failed.len() as u32,
            };
            let name = match cell.work.set {
                Set::Usual => format!("{} {}", cell.kernel, cell.mode),
                set => format!("{} {} {set}", cell.kernel, cell.mode),
            };
            (name, count, outcome.seconds)
        })
        .collect())
}

/// The kernels that are booted besides those that a person may name.
pub(super) fn kernels_besides() -> [&'static str; 2] {
    [SMOKE.0, PROGRAMS]
}
