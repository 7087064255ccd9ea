//! The file or pipe that a recording goes to.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    time::Duration,
};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use tokio::time::sleep;

use super::signals::Signals;
use crate::{collect::Destination, error::AgentError};

/// Between two looks whether somebody reads the pipe.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Opens what a recording goes to, which still has what was in it. Waits for who reads a pipe, until
/// it is told to end.
pub(super) async fn open(path: &Path, signals: &Signals) -> Result<Destination, AgentError> {
    let file = loop {
        match open_now(path) {
            Ok(file) => break Ok(file),
            Err(error) if error.raw_os_error() == Some(libc::ENXIO) => {
                signals.check()?;
                sleep(LOOK_EVERY).await;
            }
            Err(error) => break Err(error),
        }
    };
    let path = path.to_owned();
    match file {
        Ok(file) => Ok(Destination { file, path }),
        Err(source) => Err(AgentError::Write { path, source }),
    }
}

/// `ENXIO` for a pipe that nobody reads.
fn open_now(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(path)?;
    let flags = fcntl_getfl(&file)?;
    fcntl_setfl(&file, flags - OFlags::NONBLOCK)?;
    Ok(file)
}
