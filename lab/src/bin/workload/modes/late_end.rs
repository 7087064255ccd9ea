//! A process that can be killed and does not end: a disk has yet to answer it, and its last thread waits for
//! that in its exit. Its pins are its own until then.

use anyhow::{Result, ensure};

use crate::counts::Counts;
use crate::kernel::aio::Context;
use crate::kernel::memory::{Kind, Memory};
use crate::kernel::mute_disk;
use crate::kernel::uring::Ring;
use crate::modes::longterm_pin;
use crate::session::Session;
use lab::page::page_bytes;

/// How much.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Pages pinned, as a fixed buffer of a ring.
    #[arg(long, default_value_t = 16)]
    pages: usize,
}

/// Phases: `held`, in which a read of another page is under way until standard input ends; `released`.
pub(crate) fn run(args: &Args, session: &Session) -> Result<Counts> {
    ensure!(args.pages > 0, "--pages must be above 0");
    let disk = mute_disk::start()?;
    let target = Memory::make(Kind::Anon, &session.dir, page_bytes())?;
    let memory = Memory::make(Kind::Anon, &session.dir, args.pages * page_bytes())?;
    let pin = || {
        let ring = Ring::new()?;
        ring.register(memory.mapping.span())?;
        let context = Context::new()?;
        context.submit(&disk, mute_disk::MUTE_FROM, target.mapping.span())?;
        Ok((ring, context))
    };
    longterm_pin::hold(session, args.pages as u64, pin, |(ring, context)| {
        ensure!(
            context.wait()? == target.mapping.span().length,
            "the disk gave less than a page"
        );
        ring.unregister()
    })
}
