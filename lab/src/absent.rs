//! What is not there on this kernel: an end of its own kind, of a test or of a workload, that is
//! neither success nor failure.

use std::fmt;

/// What is missing, or why something does not apply.
#[derive(Debug)]
pub struct Absent(pub String);

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Absent {}

/// The error to end with.
pub fn absent(why: impl Into<String>) -> anyhow::Error {
    Absent(why.into()).into()
}
