//! Memory registered with an RDMA device in software: a longterm pin for writing, on memory of every
//! page size.

use anyhow::{Result, ensure};

use crate::counts::Counts;
use crate::kernel::memory::{Kind, Memory};
use crate::kernel::rdma_link;
use crate::kernel::verbs::Device;
use crate::modes::longterm_pin::hold;
use crate::session::Session;
use lab::page::page_bytes;

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
    let memory = Memory::make(args.memory, &session.dir, args.pages * page_bytes())?;
    let span = memory.mapping.span();
    let device = Device::open(name)?;
    hold(
        session,
        span.pages() as u64,
        || device.register(span),
        |region| device.deregister(region),
    )
}
