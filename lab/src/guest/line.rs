//! A serial line of the guest that carries frames; leaves out what the frames mean.

use std::{
    fs::{File, OpenOptions},
    io::BufReader,
    os::unix::fs::OpenOptionsExt as _,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context as _;
use rustix::termios::{OptionalActions, tcdrain, tcgetattr, tcsetattr};

use crate::wire::{Frame, WireError};

/// The writing end, shared by all who have something to tell the host.
#[derive(Clone, Debug)]
pub struct LineWriter(Arc<Mutex<File>>);

/// The reading end.
#[derive(Debug)]
pub struct LineReader(BufReader<File>);

/// Opens the line and makes it carry bytes as they are.
pub fn open(path: &str) -> anyhow::Result<(LineReader, LineWriter)> {
    let line = OpenOptions::new()
        // A service is a session of its own, and this is not to be its terminal.
        .custom_flags(libc::O_NOCTTY)
        .read(true)
        .write(true)
        .open(path)
        .with_context(|| format!("cannot open {path}"))?;
    let mut settings = tcgetattr(&line).with_context(|| format!("{path} is no serial line"))?;
    settings.make_raw();
    tcsetattr(&line, OptionalActions::Now, &settings)
        .with_context(|| format!("cannot make {path} raw"))?;
    let reader = LineReader(BufReader::new(line.try_clone()?));
    Ok((reader, LineWriter(Arc::new(Mutex::new(line)))))
}

impl LineReader {
    /// The next frame; `None` at the end of the line.
    pub fn read(&mut self) -> Result<Option<Frame>, WireError> {
        Frame::read_from(&mut self.0)
    }
}

impl LineWriter {
    /// Sends a frame. The host is all that could be told of a failure, so there is none.
    pub fn send(&self, frame: &Frame) {
        let mut line = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = frame.write_to(&mut *line) {
            eprintln!("init: cannot write to the serial line: {error}");
        }
    }

    /// Waits until everything sent has left the UART.
    pub fn drain(&self) {
        let line = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = tcdrain(&*line) {
            eprintln!("init: cannot drain the serial line: {error}");
        }
    }
}
