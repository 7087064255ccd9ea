//! The local socket of the running agent: who may open the file may ask. Beside it
//! lies a lock, so that a second agent is refused and told of the first.
//!
//! One request a connection: a line of JSON, answered with a report, and closed.

use std::{
    fs::{self, File, Permissions, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use log::{debug, warn};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
    time::timeout,
};
use verdicts::Report;

use super::{
    output::Format,
    pins::{self, Wanted},
};
use crate::{
    collect::{self, State},
    error::AgentError,
};

/// Owner and group may ask.
const MODE: u32 = 0o660;

/// A client that says nothing for so long is let go.
const PATIENCE: Duration = Duration::from_secs(5);

/// No request is longer.
const MOST_REQUEST_BYTES: u64 = 1024;

/// The socket, taken for as long as this lives.
#[derive(Debug)]
pub(crate) struct Socket {
    listener: UnixListener,
    path: PathBuf,
    /// The kernel gives the lock back however the agent ends.
    _lock: File,
}

impl Socket {
    /// Takes the socket, or says which agent has it.
    pub(crate) fn take(path: &Path) -> Result<Self, AgentError> {
        let cannot = |source| AgentError::Socket {
            path: path.to_owned(),
            source,
        };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(cannot)?;
        }
        let lock = lock(path)?;
        // Whoever bound it before is gone: we have the lock.
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(cannot(error)),
            Ok(()) | Err(_) => {}
        }
        let listener = UnixListener::bind(path).map_err(cannot)?;
        fs::set_permissions(path, Permissions::from_mode(MODE)).map_err(cannot)?;
        Ok(Self {
            listener,
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Answers until the task is dropped.
    pub(crate) async fn serve(self, state: Arc<Mutex<State>>) -> io::Result<()> {
        loop {
            let (client, _) = self.listener.accept().await?;
            let state = Arc::clone(&state);
            tokio::spawn(async move {
                match timeout(PATIENCE, answer(client, &state)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => debug!("a client of the socket: {error}"),
                    Err(_) => debug!("a client of the socket was too slow"),
                }
            });
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            warn!("cannot remove {}: {error}", self.path.display());
        }
    }
}

/// What can be asked.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Request {
    /// How good each estimator is.
    Verdicts { format: Format },
    /// Who holds pins.
    Pins { wanted: Wanted, format: Format },
}

/// First line of an answer that is a report.
pub(crate) const OK: &str = "ok";

async fn answer(mut client: UnixStream, state: &Mutex<State>) -> io::Result<()> {
    let mut line = String::new();
    let (input, mut output) = client.split();
    BufReader::new(input.take(MOST_REQUEST_BYTES))
        .read_line(&mut line)
        .await?;
    let reply = match report(&line, state) {
        Ok(report) => format!("{OK}\n{report}\n"),
        Err(refusal) => format!("{refusal}\n"),
    };
    output.write_all(reply.as_bytes()).await?;
    output.shutdown().await
}

fn report(line: &str, state: &Mutex<State>) -> Result<String, String> {
    let request: Request =
        serde_json::from_str(line).map_err(|it| format!("the request is not understood: {it}"))?;
    let mut state = collect::lock(state);
    match request {
        Request::Verdicts { format } => Ok(format.verdicts(&Report::of(&state.head, &state.judge))),
        Request::Pins { wanted, format } => pins::Report::of(&mut state, &wanted)
            .map(|report| pins::format(&report, format))
            .map_err(|error| crate::error::chain(&error)),
    }
}

fn lock(socket: &Path) -> Result<File, AgentError> {
    let mut path = socket.as_os_str().to_owned();
    path.push(".lock");
    let path = PathBuf::from(path);
    let cannot = |source| AgentError::Socket {
        path: path.clone(),
        source,
    };
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(cannot)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            file.read_to_string(&mut pid).map_err(cannot)?;
            return Err(AgentError::SecondAgent {
                socket: socket.to_owned(),
                pid: pid.trim().to_owned(),
            });
        }
        Err(TryLockError::Error(source)) => return Err(cannot(source)),
    }
    file.set_len(0).map_err(cannot)?;
    file.rewind().map_err(cannot)?;
    writeln!(file, "{}", std::process::id()).map_err(cannot)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &Path) -> Result<Socket, String> {
        Socket::take(path).map_err(|error| crate::error::chain(&error))
    }

    #[tokio::test]
    async fn a_second_agent_is_refused_and_told_of_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/pinscope.sock");
        let first = check(&path).unwrap();
        let refused = check(&path).unwrap_err();
        let pid = std::process::id().to_string();
        assert!(
            refused.contains(&pid) && refused.contains("pinscope.sock"),
            "{refused}"
        );
        drop(first);
        check(&path).unwrap();
    }

    #[tokio::test]
    async fn a_socket_left_behind_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pinscope.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        check(&path).unwrap();
    }

    #[tokio::test]
    async fn others_than_owner_and_group_may_not_ask() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pinscope.sock");
        let _socket = check(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, MODE);
    }
}
