//! Plain stores through a shared mapping and msync, with nothing pinned: what every
//! estimator must call "not pinned".

use anyhow::{Result, ensure};

use crate::counts::Counts;
use crate::kernel::files::{self, WorkFile};
use crate::kernel::folios::Folios;
use crate::kernel::mapping::Mapping;
use crate::session::Session;
use lab::page::page_bytes;

/// How much and how often.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Pages of the mapping.
    #[arg(long, default_value_t = 256)]
    pub(crate) pages: usize,
    /// Rounds of storing to every page and syncing.
    #[arg(long, default_value_t = 10)]
    pub(crate) rounds: usize,
    /// Whether the file has large folios, where its file system can.
    #[arg(long, value_enum, default_value = "large")]
    pub(crate) folios: files::Folios,
}

/// Stores and syncs; each round's walks are checked page by page.
pub(crate) fn run(args: &Args, session: &Session) -> Result<Counts> {
    ensure!(args.pages > 0, "--pages must be above 0");
    let bytes = args.pages * page_bytes();
    let target = WorkFile::make(&session.dir, "target", bytes, args.folios)?;
    let mapping = Mapping::shared(&target.file, bytes)?;
    mapping.touch(mapping.span());
    let folios = Folios::behind(mapping.span())?;
    let mut counts = Counts::default();
    for _round in 0..args.rounds {
        if session.over() {
            break;
        }
        counts.walks_not_pinned += dirty_and_sync(&mapping, &folios, &mut counts)?;
    }
    session.pass("synced", &counts)?;
    Ok(counts)
}

/// Stores to every page and syncs; says how many folios that took from dirty to clean.
pub(crate) fn dirty_and_sync(
    mapping: &Mapping,
    folios: &Folios,
    counts: &mut Counts,
) -> Result<u64> {
    counts.pages_dirtied += mapping.dirty(mapping.span(), 0xd1);
    let dirty = folios.dirty()?;
    mapping.sync(mapping.span())?;
    counts.syncs += 1;
    let left = folios.dirty()?;
    ensure!(
        left == 0,
        "{left} of {} folios are dirty after msync",
        folios.number()
    );
    ensure!(
        dirty == folios.number(),
        "{} folios were stored to, {dirty} were dirty before msync: somebody else writes back too",
        folios.number()
    );
    Ok(dirty)
}
