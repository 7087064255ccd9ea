//! The dirty log of a vhost device: a page pinned for each change of a ring, for a moment.

use anyhow::{Result, ensure};

use crate::counts::Counts;
use crate::kernel::vhost::{QUEUES, Vsock};
use crate::session::Session;
use lab::pin_counters::PinCounters;

/// How often.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Starts of the device, each of which logs at least one page a queue.
    #[arg(long, default_value_t = 100)]
    pub(crate) starts: usize,
}

/// Phases: `ready` (nothing logged yet), `logged`.
pub(crate) fn run(args: &Args, session: &Session) -> Result<Counts> {
    let vsock = Vsock::open()?;
    let mut counts = Counts::default();
    session.pass("ready", &counts)?;
    let before = PinCounters::read()?;
    for _start in 0..args.starts {
        if session.over() {
            break;
        }
        vsock.start_and_stop()?;
        counts.calls += u64::from(QUEUES);
    }
    // A start also wakes the device's worker, which logs as often as it gets to it before the stop.
    let grown = PinCounters::read()? - before;
    ensure!(
        grown.acquired >= counts.calls && grown.outstanding() == 0,
        "{} pages were to be pinned and released; the kernel counted {grown:?}",
        counts.calls
    );
    counts.pages_pinned = grown.acquired;
    counts.pages_released = grown.released;
    session.pass("logged", &counts)?;
    Ok(counts)
}
