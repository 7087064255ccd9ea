//! Devices that not every kernel has.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;

use anyhow::{Context, Result};
use lab::absent::absent;

/// Opens one; absent where the kernel lacks it.
pub(crate) fn open(device: &str) -> Result<File> {
    match OpenOptions::new().read(true).write(true).open(device) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(absent(format!("this kernel has no {device}")))
        }
        opened => opened.with_context(|| format!("{device} cannot be opened")),
    }
}
