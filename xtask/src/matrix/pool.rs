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

/// Runs every cell and gives the outcomes in the cells' order. The last ones start first: new
/// kernels take longest, and what takes longest must not start last.
pub(crate) fn run(cells: Vec<Cell>, parallel: usize) -> Vec<(Cell, Outcome)> {
    let next = AtomicUsize::new(cells.len());
    let done = Mutex::new(Vec::new());
    let work = || {
        while let Ok(left) =
            next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |it| it.checked_sub(1))
        {
            let place = left - 1;
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
