//! A dma-buf over a memfd: folios pinned through `memfd_pin_folios()`, by file offset
//! and not by address.

use anyhow::{Result, ensure};

use crate::counts::Counts;
use crate::kernel::udmabuf::DmaBuf;
use crate::modes::longterm_pin::hold;
use crate::session::Session;
use lab::absent::absent;
use lab::page::page_bytes;
use lab::pin_counters::PinCounters;

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
    hold(
        session,
        args.pages as u64,
        || {
            let before = PinCounters::read()?;
            let buffer = DmaBuf::make(args.pages * page_bytes())?;
            if (PinCounters::read()? - before).acquired == 0 {
                return Err(absent("a dma-buf over a memfd pins nothing on this kernel"));
            }
            Ok(buffer)
        },
        |buffer| {
            drop(buffer);
            Ok(())
        },
    )
}
