//! `pinscope verdicts`: asks the running agent for its verdicts.

use crate::{
    cli::VerdictsOptions,
    error::AgentError,
    output,
    socket::{self, Request},
};

/// Prints what the agent answers.
pub(crate) fn verdicts(options: &VerdictsOptions) -> Result<(), AgentError> {
    let request = Request::Verdicts {
        format: options.format,
    };
    let reply = socket::ask(&options.socket, &request)?;
    output::print(&reply.trim_end());
    Ok(())
}
