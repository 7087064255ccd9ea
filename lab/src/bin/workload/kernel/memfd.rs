//! Files that lie in memory only and have a name but no folder (memfd).
//! It maps nothing.

use std::ffi::CStr;
use std::fs::File;
use std::io::Error;
use std::os::fd::FromRawFd;

use anyhow::{Result, ensure};

/// A file of `bytes` bytes, all zero, that can still be sealed.
pub(crate) fn make(name: &CStr, bytes: usize) -> Result<File> {
    // SAFETY: the name ends in NUL.
    let memory = unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_ALLOW_SEALING) };
    ensure!(
        memory >= 0,
        "memfd_create failed: {}",
        Error::last_os_error()
    );
    // SAFETY: a new descriptor that nobody else owns.
    let memory = unsafe { File::from_raw_fd(memory) };
    memory.set_len(bytes as u64)?;
    Ok(memory)
}
