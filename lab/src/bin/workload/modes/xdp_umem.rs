//! The umem of an AF_XDP socket: a long pin for writing, given back by a kernel worker.

use anyhow::{Result, ensure};

use crate::counts::Counts;
use crate::kernel::PAGE;
use crate::kernel::memory::{Kind, Memory};
use crate::kernel::pin_counters::PinCounters;
use crate::kernel::xdp::Umem;
use crate::session::Session;

/// How much, of what.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Pages of 4 KiB in the umem.
    #[arg(long, default_value_t = 256)]
    pub(crate) pages: usize,
    /// What memory it is; kernels since 6.5 refuse `file`.
    #[arg(long, value_enum, default_value = "anon")]
    pub(crate) memory: Kind,
}

/// Phases: `held`, `released`.
pub(crate) fn run(args: &Args, session: &Session) -> Result<Counts> {
    ensure!(args.pages > 0, "--pages must be above 0");
    let memory = Memory::make(args.memory, &session.dir, args.pages * PAGE)?;
    let pages = memory.mapping.span().pages() as u64;
    let mut counts = Counts::default();

    let umem = Umem::register(memory.mapping.span())?;
    counts.calls += 1;
    counts.pages_pinned += pages;
    session.stay_in("held", &counts)?;

    let before = PinCounters::read()?;
    drop(umem);
    before.wait_for_release(pages)?;
    counts.pages_unpinned += pages;
    session.pass("released", &counts)?;
    Ok(counts)
}
