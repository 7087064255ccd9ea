//! A leak as it happens in the field: a process pins, forks a child that keeps the descriptor,
//! and dies. The pins are there until the child ends, in the name of a process that is not.

use anyhow::{Result, ensure};

use crate::counts::Counts;
use crate::kernel::PAGE;
use crate::kernel::heir;
use crate::kernel::memory::{Kind, Memory};
use crate::kernel::uring::Ring;
use crate::session::Session;

/// How much, of what.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Pages of 4 KiB pinned.
    #[arg(long, default_value_t = 256)]
    pub(crate) pages: usize,
    /// What memory is pinned.
    #[arg(long, value_enum, default_value = "memfd")]
    pub(crate) memory: Kind,
}

/// Phase: `held`. Then this process ends; its child, and with it the pins, when standard
/// input does.
pub(crate) fn run(args: &Args, session: &Session) -> Result<Counts> {
    ensure!(args.pages > 0, "--pages must be above 0");
    let memory = Memory::make(args.memory, &session.dir, args.pages * PAGE)?;
    let ring = Ring::new()?;
    ring.register(memory.mapping.span())?;
    let counts = Counts {
        pages_pinned: memory.mapping.span().pages() as u64,
        calls: 1,
        ..Counts::default()
    };
    session.stay_in("held", &counts)?;
    heir::leave_behind()?;
    Ok(counts)
}
