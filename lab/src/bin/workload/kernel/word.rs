//! A word from whoever drives the workload: one line on standard input, waited for in
//! slices so that a signal is never missed. Whether it matters what the line says is the mode's.

use std::io::Error;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

/// What came.
pub(crate) enum Word {
    /// A line.
    Line(String),
    /// The end of standard input.
    End,
}

/// Waits for a line, or the end of standard input, for at most `slice`. True if it came.
pub(crate) fn came_within(slice: Duration) -> Result<bool> {
    Ok(within(slice)?.is_some())
}

/// The same; says what came.
pub(crate) fn within(slice: Duration) -> Result<Option<Word>> {
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
        return Ok(None);
    }
    read_line().map(Some)
}

/// Byte by byte, so that nothing of the next line is taken where `poll` cannot see it.
fn read_line() -> Result<Word> {
    let mut line = Vec::new();
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
        if got == 0 && line.is_empty() {
            return Ok(Word::End);
        }
        if got == 0 || byte == b'\n' {
            return Ok(Word::Line(String::from_utf8(line)?));
        }
        line.push(byte);
    }
}
