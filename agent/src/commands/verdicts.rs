//! `pinscope verdicts`: asks the running agent for its verdicts.

use super::{ask::ask, cli::VerdictsOptions, failure::Done};
use crate::views::socket::Request;

/// Prints what the agent answers.
pub(super) fn verdicts(options: &VerdictsOptions) -> Done {
    let request = Request::Verdicts {
        format: options.format,
    };
    ask(&options.socket, &request)
}
