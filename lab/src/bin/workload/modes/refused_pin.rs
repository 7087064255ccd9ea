//! Longterm pins that the kernel refuses after it has taken the page: newer kernels
//! release it inside the call, and older ones after it.

use anyhow::{Result, ensure};

use crate::counts::Counts;
use crate::kernel::memory::{Kind, Memory};
use crate::kernel::pipe::PagePipe;
use crate::kernel::uring::Ring;
use crate::session::Session;
use lab::page::page_bytes;
use lab::pin_counters::PinCounters;

/// What is wrong with the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Why {
    /// It is mapped from a file with writeback, shared, which no kernel takes.
    Writeback,
    /// It would have to move out of the zone Movable, and cannot: a pipe refers to it.
    Stuck,
}

/// How often, and why.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Calls, each of which is refused.
    #[arg(long, default_value_t = 100)]
    pub(crate) calls: usize,
    /// What is wrong with the page.
    #[arg(long, value_enum, default_value = "writeback")]
    pub(crate) why: Why,
}

/// Phases: `ready` (nothing asked for yet), `refused`. No calls: a kernel that pins a stuck page where it
/// is.
pub(crate) fn run(args: &Args, session: &Session) -> Result<Counts> {
    let kind = match args.why {
        Why::Writeback => Kind::File,
        Why::Stuck => Kind::Anon,
    };
    let memory = Memory::make(kind, &session.dir, page_bytes())?;
    let span = memory.mapping.span();
    // The fast path takes only pages that can be written to at once.
    memory.mapping.dirty(span, 1);
    let mut pipe = PagePipe::with_room_for(1)?;
    if args.why == Why::Stuck {
        pipe.reference(span)?;
    }
    let ring = Ring::new()?;
    let mut counts = Counts::default();
    session.pass("ready", &counts)?;
    let before = PinCounters::read()?;
    for _call in 0..args.calls {
        if session.over() {
            break;
        }
        if ring.register(span).is_ok() {
            ensure!(
                args.why == Why::Stuck,
                "a fixed buffer on a shared mapping of a file was taken"
            );
            ring.unregister()?;
            before.wait_for_release(1)?;
            break;
        }
        counts.calls += 1;
    }
    let grown = PinCounters::read()? - before;
    ensure!(
        (counts.calls == 0 || grown.acquired >= counts.calls) && grown.outstanding() == 0,
        "{} calls were refused; the kernel counted {grown:?}",
        counts.calls
    );
    session.pass("refused", &counts)?;
    if args.why == Why::Stuck {
        pipe.release(span)?;
    }
    Ok(counts)
}
