//! References held on file pages by a full pipe while the file is synced: what pinned
//! pages looked like before `FOLL_PIN`, and what the kernel's own answer cannot see.

use anyhow::{Result, ensure};

use crate::counts::Counts;
use crate::kernel::files::{self, WorkFile};
use crate::kernel::folios::Folios;
use crate::kernel::mapping::Mapping;
use crate::kernel::pipe::PagePipe;
use crate::modes::dirty::dirty_and_sync;
use crate::session::Session;
use lab::page::page_bytes;

/// How much and how often the file is synced meanwhile.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Pages put into the pipe.
    #[arg(long, default_value_t = 256)]
    pub(crate) pages: usize,
    /// Syncs while the references are held; every page is dirtied before each.
    #[arg(long, default_value_t = 3)]
    pub(crate) syncs: usize,
}

/// Phases: `ready` (nothing referenced yet), `held`, `synced` (still there), `released`.
pub(crate) fn run(args: &Args, session: &Session) -> Result<Counts> {
    ensure!(args.pages > 0, "--pages must be above 0");
    let bytes = args.pages * page_bytes();
    let target = WorkFile::make(&session.dir, "target", bytes, files::Folios::Large)?;
    let mapping = Mapping::shared(&target.file, bytes)?;
    mapping.touch(mapping.span());
    let mut counts = Counts::default();

    let mut pipe = PagePipe::with_room_for(args.pages)?;
    session.pass("ready", &counts)?;
    pipe.reference(mapping.span())?;
    counts.calls += 1;
    counts.pages_referenced += args.pages as u64;
    session.stay_in("held", &counts)?;

    let folios = Folios::behind(mapping.span())?;
    for _sync in 0..args.syncs {
        if session.over() {
            break;
        }
        counts.walks_referenced += dirty_and_sync(&mapping, &folios, &mut counts)?;
    }
    session.pass("synced", &counts)?;

    pipe.release(mapping.span())?;
    counts.pages_unreferenced += args.pages as u64;
    session.pass("released", &counts)?;
    Ok(counts)
}
