//! `pinscope pins`: asks the running agent who holds pins.

use super::{ask::ask, cli::PinsOptions, failure::Done};
use crate::views::{pins::Wanted, socket::Request};

/// Prints what the agent answers.
pub(super) fn pins(options: &PinsOptions) -> Done {
    let request = Request::Pins {
        wanted: Wanted {
            by: options.by,
            min_age_ms: options
                .min_age
                .map_or(0, |it| u64::try_from(it.as_millis()).unwrap_or(u64::MAX)),
            top: options.top,
            suspects: options.suspects,
        },
        format: options.format,
    };
    ask(&options.socket, &request)
}
