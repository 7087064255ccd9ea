//! Pins on pages of which some have plain references by the hundred, and one had them: the count of a small
//! folio tells a pin from 1,024 of those only by their number.

use anyhow::{Result, ensure};

use crate::counts::Counts;
use crate::kernel::futex;
use crate::kernel::memory::{Kind, Memory};
use crate::kernel::pipe::PagePipe;
use crate::kernel::uring::Ring;
use crate::modes::longterm_pin;
use crate::session::Session;
use lab::page::page_bytes;

/// How much.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Pages pinned, 4 at least.
    #[arg(long, default_value_t = 16)]
    pages: usize,
    /// References that the first page had.
    #[arg(long, default_value_t = 700)]
    gone: u64,
    /// References that each of the next pages has, in a pipe.
    #[arg(long, value_delimiter = ',', default_value = "600,900")]
    kept: Vec<usize>,
}

/// Phases: `held`, `released`. Only pins are counted.
pub(crate) fn run(args: &Args, session: &Session) -> Result<Counts> {
    ensure!(args.pages > args.kept.len(), "--pages must be above those");
    let memory = Memory::make(Kind::Memfd, &session.dir, args.pages * page_bytes())?;
    let mapping = &memory.mapping;
    let pin = || {
        let ring = Ring::new()?;
        ring.register(mapping.span())?;
        let pipe = PagePipe::with_room_for(args.kept.iter().sum())?;
        for (page, references) in (1..).zip(&args.kept) {
            for _reference in 0..*references {
                pipe.reference(mapping.part(page, 1))?;
            }
        }
        for _reference in 0..args.gone {
            futex::wake(mapping.part(0, 1))?;
        }
        Ok((ring, pipe))
    };
    longterm_pin::hold(session, args.pages as u64, pin, |(ring, pipe)| {
        drop(pipe);
        ring.unregister()
    })
}
