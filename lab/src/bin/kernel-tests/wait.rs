//! The one place that waits: for a condition, with a deadline and the last reason why not.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Between two looks, so that the watcher does not starve what it watches.
const BETWEEN: Duration = Duration::from_millis(50);

/// What takes so long is told, with what was last missing.
const LONG: Duration = Duration::from_secs(5);

/// What a look found.
#[derive(Debug)]
pub(crate) enum Look<T> {
    /// The condition holds.
    Done(T),
    /// It does not yet, because of this.
    NotYet(String),
}

/// Looks again and again until the condition holds. An error of the look ends the wait.
pub(crate) fn until<T>(
    what: &str,
    patience: Duration,
    mut look: impl FnMut() -> Result<Look<T>>,
) -> Result<T> {
    let begun = Instant::now();
    let mut last = String::new();
    loop {
        match look()? {
            Look::Done(found) => {
                if begun.elapsed() >= LONG {
                    println!("     {:.1?} for {what}: {last}", begun.elapsed());
                }
                return Ok(found);
            }
            Look::NotYet(why) if begun.elapsed() >= patience => {
                bail!("waited {patience:?} for {what}: {why}")
            }
            Look::NotYet(why) => {
                last = why;
                sleep(BETWEEN);
            }
        }
    }
}
