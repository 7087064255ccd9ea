//! The local socket of the running agent: who may open the file may ask. Beside it
//! lies a lock, so that a second agent is refused and told of the first.
//!
//! One request a connection: a line, answered with a report, and closed.

use std::{
    fs::{self, File, Permissions, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use log::{debug, warn};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
    time::timeout,
};

use crate::{cli::Format, error::AgentError, report::Report, state::State};

/// Owner and group may ask.
const MODE: u32 = 0o660;

/// A client that says nothing for so long is let go.
const PATIENCE: Duration = Duration::from_secs(5);

/// No request is longer.
const MOST_REQUEST_BYTES: u64 = 64;

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

/// The request for the verdicts in this form.
pub(crate) fn request(format: Format) -> &'static str {
    match format {
        Format::Text => "verdicts text\n",
        Format::Json => "verdicts json\n",
    }
}

async fn answer(mut client: UnixStream, state: &Mutex<State>) -> io::Result<()> {
    let mut line = String::new();
    let (input, mut output) = client.split();
    BufReader::new(input.take(MOST_REQUEST_BYTES))
        .read_line(&mut line)
        .await?;
    let format = [Format::Text, Format::Json]
        .into_iter()
        .find(|it| request(*it) == line);
    let reply = match format {
        Some(format) => {
            let state = crate::run::lock(state);
            Report::of(&state.head, &state.judge).format(format)
        }
        None => "unknown request".to_owned(),
    };
    output.write_all(reply.as_bytes()).await?;
    output.write_all(b"\n").await?;
    output.shutdown().await
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
