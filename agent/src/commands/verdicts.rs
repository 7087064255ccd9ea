//! `pinscope verdicts`: asks the running agent for its verdicts.

use super::cli::VerdictsOptions;
use crate::{
    error::AgentError,
    views::{
        output,
        socket::{self, Request},
    },
};

/// Prints what the agent answers.
pub(super) fn verdicts(options: &VerdictsOptions) -> Result<(), AgentError> {
    let request = Request::Verdicts {
        format: options.format,
    };
    let reply = socket::ask(&options.socket, &request)?;
    output::print(&reply.trim_end());
    Ok(())
}
