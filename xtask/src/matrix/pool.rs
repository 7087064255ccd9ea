//! Cells side by side, as many as the machine carries. Leaves out what one does.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use super::cell::{Cell, Outcome};
use crate::say;

/// How many guests run best at once: a guest has two CPUs and keeps about one of ours busy.
pub(crate) fn usual() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Runs every cell and gives the outcomes in the cells' order. What takes longest starts first, or
/// all but one would wait for it at the end.
pub(crate) fn run(cells: Vec<Cell>, parallel: usize) -> Vec<(Cell, Outcome)> {
    let order = longest_first(&cells);
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    let work = || {
        while let Some(&place) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
            let cell = &cells[place];
            let outcome = cell.run();
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            say::step(
                "guest",
                format_args!(
                    "{} of {}: {} {} in {:.0} s: {} passed, {} failed, {} absent",
                    done.len() + 1,
                    cells.len(),
                    cell.kernel,
                    cell.mode,
                    outcome.seconds,
                    outcome.passed.len(),
                    outcome.failed.len(),
                    outcome.absent.len()
                ),
            );
            done.push((place, outcome));
        }
    };
    thread::scope(|scope| {
        for _ in 0..parallel.clamp(1, cells.len().max(1)) {
            scope.spawn(work);
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(place, _)| *place);
    cells
        .into_iter()
        .zip(done.into_iter().map(|(_, outcome)| outcome))
        .collect()
}

/// The cells' places: those in which every program is verified, and then the others, each time new
/// kernels before old ones, which have fewer hooks.
fn longest_first(cells: &[Cell]) -> Vec<usize> {
    let mut order: Vec<_> = (0..cells.len()).rev().collect();
    order.sort_by_key(|place| !cells[*place].work.verifier);
    order
}
