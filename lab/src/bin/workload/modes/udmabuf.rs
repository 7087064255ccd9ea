//! A dma-buf over a memfd: folios pinned through `memfd_pin_folios()`, by file offset
//! and not by address.

use anyhow::{Result, ensure};

use crate::absent::absent;
use crate::counts::Counts;
use crate::kernel::PAGE;
use crate::kernel::pin_counters::PinCounters;
use crate::kernel::udmabuf::DmaBuf;
use crate::session::Session;

/// How much.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Pages of 4 KiB in the buffer.
    #[arg(long, default_value_t = 256)]
    pub(crate) pages: usize,
}

/// Phases: `held`, `released`. Each page of a memfd is a folio of its own here, as long
/// as shmem's huge pages are off, which is the kernel's default.
pub(crate) fn run(args: &Args, session: &Session) -> Result<Counts> {
    ensure!(args.pages > 0, "--pages must be above 0");
    let pages = args.pages as u64;
    let mut counts = Counts::default();
    let before = PinCounters::read()?;

    let buffer = DmaBuf::make(args.pages * PAGE)?;
    let grown = PinCounters::read()? - before;
    if grown.acquired == 0 {
        return Err(absent("a dma-buf over a memfd pins nothing on this kernel"));
    }
    ensure!(
        grown.acquired >= pages,
        "{pages} pages were to be pinned; the kernel counted {grown:?}"
    );
    counts.calls += 1;
    counts.pages_pinned += pages;
    session.stay_in("held", &counts)?;

    let before = PinCounters::read()?;
    drop(buffer);
    before.wait_for_release(pages)?;
    counts.pages_unpinned += pages;
    session.pass("released", &counts)?;
    Ok(counts)
}
