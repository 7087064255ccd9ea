//! A word from whoever drives the workload: one line on standard input, waited for in
//! slices so that a signal is never missed. What the line says does not matter.

use std::io::Error;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

/// Waits for a line, or the end of standard input, for at most `slice`. True if it came.
pub(crate) fn came_within(slice: Duration) -> Result<bool> {
    let mut ready = libc::pollfd {
        fd: libc::STDIN_FILENO,
        events: libc::POLLIN,
        revents: 0,
    };
    let slice = libc::c_int::try_from(slice.as_millis())?;
    // SAFETY: one descriptor, as announced.
    let answer = unsafe { libc::poll(&raw mut ready, 1, slice) };
    if answer < 0 && Error::last_os_error().raw_os_error() != Some(libc::EINTR) {
        bail!(
            "standard input cannot be waited for: {}",
            Error::last_os_error()
        );
    }
    if answer <= 0 {
        return Ok(false);
    }
    read_line()?;
    Ok(true)
}

/// Byte by byte, so that nothing of the next line is taken where `poll` cannot see it.
fn read_line() -> Result<()> {
    let mut byte = 0_u8;
    loop {
        let into = (&raw mut byte).cast();
        // SAFETY: one byte, as announced.
        let got = unsafe { libc::read(libc::STDIN_FILENO, into, 1) };
        ensure!(
            got >= 0,
            "standard input cannot be read: {}",
            Error::last_os_error()
        );
        if got == 0 || byte == b'\n' {
            return Ok(());
        }
    }
}
