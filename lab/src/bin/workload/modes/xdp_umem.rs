//! The umem of an AF_XDP socket: a longterm pin for writing, released by a kernel worker.

use anyhow::{Result, ensure};

use crate::counts::Counts;
use crate::kernel::memory::{Kind, Memory};
use crate::kernel::xdp::Umem;
use crate::modes::longterm_pin::hold;
use crate::session::Session;
use lab::page::page_bytes;

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
    let memory = Memory::make(args.memory, &session.dir, args.pages * page_bytes())?;
    let span = memory.mapping.span();
    hold(
        session,
        span.pages() as u64,
        || Umem::register(span),
        |umem| {
            drop(umem);
            Ok(())
        },
    )
}
