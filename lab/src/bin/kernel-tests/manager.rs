//! The service manager's end of the notification socket, one for each agent. It judges nothing.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};

/// A socket that an agent tells its state to.
#[derive(Debug)]
pub(crate) struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    pub(crate) fn listen(patience: Duration) -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("kernel-tests-{}-notify-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let socket = UnixDatagram::bind(&path)
            .with_context(|| format!("{} cannot be bound", path.display()))?;
        socket.set_read_timeout(Some(patience))?;
        Ok(Self { socket, path })
    }

    /// Makes the command tell this one.
    pub(crate) fn be_told_by(&self, command: &mut Command) {
        command.env("NOTIFY_SOCKET", &self.path);
    }

    /// Reads messages until one has this line; others, such as a status, may come between.
    pub(crate) fn hear(&self, wanted: &str) -> Result<()> {
        let mut message = [0; 4096];
        loop {
            let length = self
                .socket
                .recv(&mut message)
                .with_context(|| format!("{wanted} never came"))?;
            let text = String::from_utf8_lossy(&message[..length]);
            if text.lines().any(|line| line == wanted) {
                return Ok(());
            }
        }
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        // A leftover name would only disturb a process of the same number.
        let _ignored = fs::remove_file(&self.path);
    }
}
