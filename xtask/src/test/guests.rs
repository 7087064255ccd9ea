//! The kernel tests in guests, one for each kernel, side by side as far as there are CPUs.
//! Leaves out the tests themselves, which are the lab's `kernel-tests`.

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

use anyhow::{Context as _, ensure};

use super::Count;
use crate::{guard, paths, say};

/// Seconds after which a guest counts as hung.
const TIMEOUT: &str = "1500";

/// Tests every kernel and gives its count and its seconds, in the order asked for.
pub(super) fn test(series: &[String]) -> Vec<(String, Count, f32)> {
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    thread::scope(|scope| {
        // A guest has two CPUs and keeps about one of ours busy.
        for _ in 0..cpus.min(series.len()) {
            scope.spawn(|| {
                while let Some(series) = series.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let start = Instant::now();
                    let count = test_one(series);
                    let row = (series.clone(), count, start.elapsed().as_secs_f32());
                    results
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(row);
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(name, ..)| series.iter().position(|wanted| wanted == name));
    results
}

fn test_one(series: &str) -> Count {
    let mut count = Count::default();
    if let Err(error) = run(series, &mut count) {
        say::step("test", format_args!("FAILED on {series}: {error:#}"));
        // A guest that ended early has tests that nobody counted.
        count.failed = count.failed.max(1);
    }
    count
}

/// The very command that a person would give, so that a failure is repeated by hand.
fn run(series: &str, count: &mut Count) -> anyhow::Result<()> {
    let xtask = std::env::current_exe().context("cannot find xtask itself")?;
    // Under the guard it ends with this process, and QEMU with it.
    let mut child = guard::command(&xtask)?
        .args([
            "lab", "--kernel", series, "--disk", "1G:ext4", "--memory", "2G",
        ])
        .args(["--timeout", TIMEOUT, "--", "kernel-tests"])
        .current_dir(paths::root())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start the lab")?;
    let output = child.stdout.take().context("the lab has no output")?;
    for line in BufReader::new(output).lines() {
        let line = line?;
        println!("{series:<5} {line}");
        match line.split(' ').next() {
            Some("ok") => count.passed += 1,
            Some("FAIL") => count.failed += 1,
            _ => {}
        }
    }
    let status = child.wait()?;
    ensure!(status.success(), "the lab ended with {status}");
    ensure!(count.passed > 0, "no kernel test ran");
    Ok(())
}
