//! The kernel tests in guests, side by side as far as there are CPUs: every test on the kernels that
//! every change is tested on, a few on one that is far from them.
//! Leaves out the other kernels and the other ways to attach, which is `cargo xtask matrix`.

use super::Count;
use crate::matrix::{
    absent,
    cell::{Cell, Mode, Work},
    pool,
};

/// A kernel with other functions and another preemption than the usual ones, and the way to
/// attach that those do not take.
const SMOKE: (&str, Mode) = ("7.3", Mode::Kprobe);

/// One of each kind: hooks are there, walks are judged, totals are right.
const SMOKE_TESTS: [&str; 3] = [
    "every_family_of_hooks",
    "held_pins_across_fsync",
    "references_are_counted",
];

/// Tests every kernel and gives its name, count and seconds, in the order asked for.
pub(super) fn test(series: &[String], smoke: bool) -> anyhow::Result<Vec<(String, Count, f32)>> {
    let known = absent::Record::read()?;
    let cell = |kernel: &str, mode, tests: &[&str]| Cell {
        kernel: kernel.to_owned(),
        mode,
        work: Work {
            tests: Some(tests.iter().map(|it| (*it).to_owned()).collect()),
            verifier: false,
        },
    };
    let mut cells: Vec<_> = series
        .iter()
        .map(|kernel| cell(kernel, Mode::Auto, &[]))
        .collect();
    if smoke {
        cells.insert(0, cell(SMOKE.0, SMOKE.1, &SMOKE_TESTS));
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
            let name = format!("{} {}", cell.kernel, cell.mode);
            (name, count, outcome.seconds)
        })
        .collect())
}

/// The kernel of [`SMOKE`].
pub(super) fn smoke_kernel() -> &'static str {
    SMOKE.0
}
