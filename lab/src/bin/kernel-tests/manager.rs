//! The service manager's end of the notification socket, one for each agent. It judges nothing.

use std::fs;
use std::net::Shutdown;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// A socket that an agent tells its state to, and that is read all the time, as systemd does.
#[derive(Debug)]
pub(crate) struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
    messages: Receiver<String>,
    patience: Duration,
}

impl Manager {
    pub(crate) fn listen(patience: Duration) -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("kernel-tests-{}-notify-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let socket = UnixDatagram::bind(&path)
            .with_context(|| format!("{} cannot be bound", path.display()))?;
        let (heard, messages) = channel();
        let reader = socket.try_clone()?;
        thread::spawn(move || {
            let mut message = [0; 4096];
            // Nothing, or an error, is the end of the socket.
            while let Ok(length @ 1..) = reader.recv(&mut message) {
                let text = String::from_utf8_lossy(&message[..length]).into_owned();
                if heard.send(text).is_err() {
                    break;
                }
            }
        });
        Ok(Self {
            socket,
            path,
            messages,
            patience,
        })
    }

    /// Makes the command tell this one.
    pub(crate) fn be_told_by(&self, command: &mut Command) {
        command.env("NOTIFY_SOCKET", &self.path);
    }

    /// Reads messages until one has this line; others, such as a status, may come between.
    pub(crate) fn hear(&self, wanted: &str) -> Result<()> {
        let until = Instant::now() + self.patience;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let message = self.messages.recv_timeout(left);
            let message = message.with_context(|| format!("{wanted} never came"))?;
            if message.lines().any(|line| line == wanted) {
                return Ok(());
            }
        }
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        // Ends the thread that reads.
        let _ended = self.socket.shutdown(Shutdown::Both);
        // A leftover name would only disturb a process of the same number.
        let _ignored = fs::remove_file(&self.path);
    }
}
