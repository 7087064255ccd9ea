//! What xtask tells the person, on standard error; leaves out what guests and tools print.

use std::fmt::Display;

/// One line of progress: which part of the work, and what it does.
pub(crate) fn step(area: &str, what: impl Display) {
    eprintln!("{area}: {what}");
}
