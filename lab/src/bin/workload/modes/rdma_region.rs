//! Memory registered with an RDMA device in software: a long pin for writing, on memory of every
//! page size.

use anyhow::{Result, ensure};

use crate::counts::Counts;
use crate::kernel::PAGE;
use crate::kernel::memory::{Kind, Memory};
use crate::kernel::pin_counters::PinCounters;
use crate::kernel::rdma_link;
use crate::kernel::verbs::Device;
use crate::session::Session;

/// How much, of what.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Pages of 4 KiB in the region.
    #[arg(long, default_value_t = 512)]
    pub(crate) pages: usize,
    /// What memory it is.
    #[arg(long, value_enum, default_value = "anon")]
    pub(crate) memory: Kind,
}

/// Phases: `held`, `released`.
pub(crate) fn run(args: &Args, session: &Session) -> Result<Counts> {
    ensure!(args.pages > 0, "--pages must be above 0");
    let name = rdma_link::make()?;
    let memory = Memory::make(args.memory, &session.dir, args.pages * PAGE)?;
    let pages = memory.mapping.span().pages() as u64;
    let mut counts = Counts::default();
    let device = Device::open(name)?;

    let before = PinCounters::read()?;
    let region = device.register(memory.mapping.span())?;
    let grown = PinCounters::read()? - before;
    ensure!(
        grown.acquired >= pages,
        "{pages} pages were to be pinned; the kernel counted {grown:?}"
    );
    counts.calls += 1;
    counts.pages_pinned += pages;
    session.stay_in("held", &counts)?;

    let before = PinCounters::read()?;
    device.deregister(region)?;
    before.wait_for_release(pages)?;
    counts.pages_unpinned += pages;
    session.pass("released", &counts)?;
    Ok(counts)
}
