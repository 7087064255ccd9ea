//! `pinscope verdicts`: asks the running agent for its verdicts.

use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    time::Duration,
};

use crate::{cli::VerdictsOptions, error::AgentError, output, socket};

/// An agent that says nothing for so long has stopped.
const PATIENCE: Duration = Duration::from_secs(10);

/// Prints what the agent answers.
pub(crate) fn verdicts(options: &VerdictsOptions) -> Result<(), AgentError> {
    let mut reply = String::new();
    UnixStream::connect(&options.socket)
        .and_then(|mut agent| {
            agent.set_read_timeout(Some(PATIENCE))?;
            agent.write_all(socket::request(options.format).as_bytes())?;
            agent.read_to_string(&mut reply)
        })
        .map_err(|source| AgentError::NoAgent {
            socket: options.socket.clone(),
            source,
        })?;
    output::print(&reply.trim_end());
    Ok(())
}
