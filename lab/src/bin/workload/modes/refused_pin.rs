//! Long pins on pages that the kernel must not pin for long: it takes the first page and gives it back,
//! newer kernels inside the call, and older ones after it.

use anyhow::{Result, ensure};

use crate::counts::Counts;
use crate::kernel::PAGE;
use crate::kernel::memory::{Kind, Memory};
use crate::kernel::uring::Ring;
use crate::session::Session;
use lab::pin_counters::PinCounters;

/// How often.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Calls, each of which is refused.
    #[arg(long, default_value_t = 100)]
    pub(crate) calls: usize,
}

/// Phases: `ready` (nothing asked for yet), `refused`. The memory is a shared mapping of a file with
/// writeback, which no kernel takes.
pub(crate) fn run(args: &Args, session: &Session) -> Result<Counts> {
    let memory = Memory::make(Kind::File, &session.dir, PAGE)?;
    // The fast path takes only pages that can be written to at once.
    memory.mapping.dirty(memory.mapping.span(), 1);
    let ring = Ring::new()?;
    let mut counts = Counts::default();
    session.pass("ready", &counts)?;
    let before = PinCounters::read()?;
    for _call in 0..args.calls {
        if session.over() {
            break;
        }
        ensure!(
            ring.register(memory.mapping.span()).is_err(),
            "a fixed buffer on a shared mapping of a file was taken"
        );
        counts.calls += 1;
    }
    let grown = PinCounters::read()? - before;
    ensure!(
        grown.acquired == counts.calls && grown.outstanding() == 0,
        "{} calls were refused; the kernel counted {grown:?}",
        counts.calls
    );
    session.pass("refused", &counts)?;
    Ok(counts)
}
