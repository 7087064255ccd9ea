//! A test that cannot apply on this kernel says why, and is neither passed nor failed.

use std::fmt;

/// Why a test does not apply.
#[derive(Debug)]
pub(crate) struct Absent(String);

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Absent {}

/// The error that a test ends with where it does not apply.
pub(crate) fn absent(why: impl Into<String>) -> anyhow::Error {
    Absent(why.into()).into()
}
