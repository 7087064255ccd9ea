//! Asking the running agent at its socket.

use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use super::failure::{Done, Failure};
use crate::{
    error::AgentError,
    views::{
        output,
        socket::{OK, Request},
    },
};

/// The agent lets a client go that says nothing for half of this.
const PATIENCE: Duration = Duration::from_secs(10);

/// Prints what the agent at `path` answers.
pub(super) fn ask(path: &Path, request: &Request) -> Done {
    let nobody = |source| AgentError::no_agent(path, source);
    let agent = UnixStream::connect(path);
    let agent = agent.map_err(|it| Failure::Start(nobody(it)))?;
    let reply = exchange(agent, request).map_err(|it| Failure::Running(nobody(it)))?;
    // An answer is marked, so that a refusal is not taken for a report.
    match reply.split_once('\n') {
        Some((OK, report)) => output::print(&report.trim_end()).map_err(Failure::Running),
        _ => {
            let refusal = reply.trim().to_owned();
            Err(Failure::Running(AgentError::Refused(refusal)))
        }
    }
}

fn exchange(mut agent: UnixStream, request: &Request) -> std::io::Result<String> {
    agent.set_read_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_string(request)?;
    line.push('\n');
    agent.write_all(line.as_bytes())?;
    let mut reply = String::new();
    agent.read_to_string(&mut reply)?;
    Ok(reply)
}
