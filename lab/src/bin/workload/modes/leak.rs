//! A leak as it happens in the field: a process pins, forks a child that keeps the descriptor,
//! and dies. The pins are there until the child ends, in the name of a process that is not.

use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::counts::Counts;
use crate::duration;
use crate::kernel::heir;
use crate::kernel::memory::{Kind, Memory};
use crate::kernel::uring::Ring;
use crate::session::Session;
use lab::page::page_bytes;

/// How much, of what.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Pages of 4 KiB pinned.
    #[arg(long, default_value_t = 256)]
    pub(crate) pages: usize,
    /// What memory is pinned.
    #[arg(long, value_enum, default_value = "memfd")]
    pub(crate) memory: Kind,
    /// Rings that pin them all, each for itself.
    #[arg(long, default_value_t = 1)]
    pub(crate) rings: usize,
    /// Time between two rings of which the child releases the pins.
    #[arg(long, default_value = "0s", value_parser = duration::parse)]
    pub(crate) every: Duration,
}

/// Phase: `held`. Then this process ends; its child releases the pins, and ends, when standard
/// input does.
pub(crate) fn run(args: &Args, session: &Session) -> Result<Counts> {
    ensure!(args.pages > 0, "--pages must be above 0");
    let memory = Memory::make(args.memory, &session.dir, args.pages * page_bytes())?;
    let mut rings = Vec::new();
    for _ring in 0..args.rings {
        let ring = Ring::new()?;
        ring.register(memory.mapping.span())?;
        rings.push(ring);
    }
    let counts = Counts {
        pages_pinned: (memory.mapping.span().pages() * args.rings) as u64,
        calls: args.rings as u64,
        ..Counts::default()
    };
    session.stay_in("held", &counts)?;
    let every = args.every;
    heir::leave_behind(|| {
        for ring in rings {
            drop(ring);
            thread::sleep(every);
        }
    })?;
    Ok(counts)
}
