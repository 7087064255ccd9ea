//! The local socket of the running agent: who may open the file may ask. Beside it
//! lies a lock, so that a second agent is refused and told of the first.
//!
//! One request a connection: a line of JSON, answered with a report, and closed.

use std::{
    fs::{self, File, Permissions, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use log::{debug, warn};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    time::timeout,
};
use verdicts::Report;

use super::{
    clients,
    output::Format,
    pins::{self, Wanted},
};
use crate::{collect::Snapshots, error::AgentError};

/// Owner and group may ask.
const MODE: u32 = 0o660;

/// A client that says nothing for so long is let go.
const PATIENCE: Duration = Duration::from_secs(5);

/// Clients at once. Beyond them a client waits until one is answered.
const MOST_CLIENTS: usize = 16;

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
    pub(crate) async fn serve(self, snapshots: Snapshots) {
        let places = Arc::new(Semaphore::new(MOST_CLIENTS));
        loop {
            let place = clients::place(&places).await;
            let client = clients::accept("socket", || self.listener.accept()).await.0;
            let snapshots = snapshots.clone();
            tokio::spawn(async move {
                let _place = place;
                match timeout(PATIENCE, answer(client, &snapshots)).await {
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

async fn answer(mut client: UnixStream, snapshots: &Snapshots) -> io::Result<()> {
    let mut line = Vec::new();
    let (input, mut output) = client.split();
    BufReader::new(input.take(MOST_REQUEST_BYTES))
        .read_until(b'\n', &mut line)
        .await?;
    let reply = match report(&line, snapshots).await {
        Ok(report) => format!("{OK}\n{report}\n"),
        Err(refusal) => format!("{refusal}\n"),
    };
    output.write_all(reply.as_bytes()).await?;
    output.shutdown().await
}

async fn report(line: &[u8], snapshots: &Snapshots) -> Result<String, String> {
    let request: Request = serde_json::from_slice(line)
        .map_err(|it| format!("the request is not understood: {it}"))?;
    match request {
        Request::Verdicts { format } => {
            let now = snapshots.latest();
            Ok(format.verdicts(&Report::of(&now.agent.head, &now.findings)))
        }
        Request::Pins { wanted, format } => {
            let selected = match wanted.selection() {
                None => None,
                Some(it) => Some(snapshots.select(it).await.ok_or("the agent is ending")?),
            };
            let now = snapshots.latest();
            let report = pins::Report::of(&now, selected.as_ref(), &wanted);
            Ok(pins::format(&report, format))
        }
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

    #[test]
    fn fuzz_socket_request() {
        crate::fuzz::bytes(&[br#"{"verdicts":{"format":"text"}}"#, br#"{"pins":{"wanted":{"by":"process","min_age_ms":1000,"top":20,"suspects":false},"format":"json"}}"#], |it| {
            let request = serde_json::from_slice::<Request>(it);
            if let Ok(Request::Pins { wanted, .. }) = request {
                let _ = wanted.selection();
            }
        });
    }
}
