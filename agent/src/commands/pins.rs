//! `pinscope pins`: asks the running agent who holds pins.

use super::cli::PinsOptions;
use crate::{
    error::AgentError,
    views::{
        output,
        pins::Wanted,
        socket::{self, Request},
    },
};

/// Prints what the agent answers.
pub(super) fn pins(options: &PinsOptions) -> Result<(), AgentError> {
    let request = Request::Pins {
        wanted: Wanted {
            by: options.by,
            older_ms: options
                .older
                .map_or(0, |it| u64::try_from(it.as_millis()).unwrap_or(u64::MAX)),
            top: options.top,
            suspects: options.suspects,
        },
        format: options.format,
    };
    let reply = socket::ask(&options.socket, &request)?;
    output::print(&reply.trim_end());
    Ok(())
}
