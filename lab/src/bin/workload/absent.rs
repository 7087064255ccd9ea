//! What a workload needs and this kernel does not have: an end of its own kind, so that whoever
//! drives the workload can tell it from a failure.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;

use anyhow::{Context, Result};

/// What is missing.
#[derive(Debug)]
pub(crate) struct Absent(pub(crate) String);

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Absent {}

/// The error that a mode ends with where the kernel lacks what it needs.
pub(crate) fn absent(why: impl Into<String>) -> anyhow::Error {
    Absent(why.into()).into()
}

/// A device that not every kernel has.
pub(crate) fn open(device: &str) -> Result<File> {
    match OpenOptions::new().read(true).write(true).open(device) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(absent(format!("this kernel has no {device}")))
        }
        opened => opened.with_context(|| format!("{device} cannot be opened")),
    }
}
