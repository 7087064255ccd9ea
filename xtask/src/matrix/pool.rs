//! Guests side by side, as many as the machine carries. Leaves out what one does.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// How many guests run best at once. A guest keeps one of our CPUs busy, and waits for a third of its
/// time: for the agent, which looks once a second.
pub(crate) fn usual() -> usize {
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    cpus + cpus / 2
}

/// Does each work and gives what came of it, in the order of the works. They begin in that order, so
/// what takes longest goes first, or all but one would wait for it at the end.
pub(crate) fn run<W: Sync, T: Send>(
    works: &[W],
    parallel: usize,
    act: impl Fn(&W) -> T + Sync,
) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    let lane = || {
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(work) = works.get(place) else { return };
            let outcome = act(work);
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            done.push((place, outcome));
        }
    };
    thread::scope(|scope| {
        for _ in 0..parallel.clamp(1, works.len().max(1)) {
            scope.spawn(lane);
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, outcome)| outcome).collect()
}

#[cfg(test)]
mod tests {
    use super::run;

    #[test]
    fn what_came_of_each_work_has_its_place() {
        assert_eq!(run(&[3, 1, 2], 2, |it| it * 10), [30, 10, 20]);
        assert!(run(&[] as &[i32], 2, |it| *it).is_empty());
    }
}
