//! Fixed buffers of an io_uring: longterm pins on memory of every page size. No I/O is done.

use anyhow::{Result, ensure};

use crate::counts::Counts;
use crate::kernel::memory::{Kind, Memory};
use crate::kernel::uring::Ring;
use crate::session::Session;
use lab::page::page_bytes;
use lab::pin_counters::PinCounters;

/// How the buffers are released.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Release {
    /// By the process, before the call returns.
    Unregister,
    /// By a kernel worker, some time after the ring was closed.
    Close,
}

/// How much, of what, and how it ends.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Pages in the buffer.
    #[arg(long, default_value_t = 512)]
    pub(crate) pages: usize,
    /// What memory the buffer is.
    #[arg(long, value_enum, default_value = "anon")]
    pub(crate) memory: Kind,
    /// How the buffer is released.
    #[arg(long, value_enum, default_value = "unregister")]
    pub(crate) release: Release,
    /// Rings that have all of it as their buffer, each for itself.
    #[arg(long, default_value_t = 1)]
    pub(crate) rings: usize,
}

/// Phases: `held`, `released`. Pages are those that the kernel's call takes.
pub(crate) fn run(args: &Args, session: &Session) -> Result<Counts> {
    ensure!(
        args.pages > 0 && args.rings > 0,
        "--pages and --rings must be above 0"
    );
    let memory = Memory::make(args.memory, &session.dir, args.pages * page_bytes())?;
    let pages = (memory.mapping.span().pages() * args.rings) as u64;
    let mut counts = Counts::default();
    let before = PinCounters::read()?;

    let mut rings = Vec::new();
    for _ring in 0..args.rings {
        let ring = Ring::new()?;
        ring.register(memory.mapping.span())?;
        rings.push(ring);
    }
    let grown = PinCounters::read()? - before;
    ensure!(
        grown.acquired >= pages && (1..=pages).contains(&grown.outstanding()),
        "{pages} pages were to be pinned; the kernel counted {grown:?}"
    );
    counts.calls += args.rings as u64;
    counts.pages_pinned += pages;
    // Of huge pages newer kernels release all pins but one of each at once.
    let held = grown.outstanding();
    counts.pages_released += pages - held;
    session.stay_in("held", &counts)?;

    let before = PinCounters::read()?;
    match args.release {
        Release::Unregister => rings.iter().try_for_each(Ring::unregister)?,
        Release::Close => drop(rings),
    }
    before.wait_for_release(held)?;
    counts.pages_released += held;
    session.pass("released", &counts)?;
    Ok(counts)
}
