//! As many mkclean walks on pinned pages as the machine can do, each of them counted:
//! every one is worth a sample, so a small ring overflows.

use anyhow::{Result, ensure};

use crate::counts::Counts;
use crate::kernel::cross_memory::Access;
use crate::kernel::files::{self, WorkFile};
use crate::kernel::folios::Folios;
use crate::kernel::held_pins::HeldPins;
use crate::kernel::mapping::Mapping;
use crate::modes::dirty::dirty_and_sync;
use crate::session::Session;
use lab::page::page_bytes;

/// How many walks.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Pages pinned: the walks of one round, for each is a folio of its own.
    #[arg(long, default_value_t = 2048)]
    pub(crate) pages: usize,
    /// Rounds of storing to every page and syncing.
    #[arg(long, default_value_t = 10)]
    pub(crate) rounds: usize,
}

/// Pins for reading, so that the release dirties nothing and the last walk of a pinned
/// page is the last walk at all.
pub(crate) fn run(args: &Args, session: &Session) -> Result<Counts> {
    ensure!(args.pages > 0, "--pages must be above 0");
    let bytes = args.pages * page_bytes();
    let target = WorkFile::make(&session.dir, "target", bytes, files::Folios::Small)?;
    let mapping = Mapping::shared(&target.file, bytes)?;
    mapping.touch(mapping.span());
    let mut counts = Counts::default();
    let pins = HeldPins::take(Access::Read, mapping.span())?;
    counts.pages_pinned += pins.pages();
    counts.calls += pins.calls();
    let folios = Folios::behind(mapping.span())?;
    for _round in 0..args.rounds {
        if session.over() {
            break;
        }
        counts.walks_pinned += dirty_and_sync(&mapping, &folios, &mut counts)?;
    }
    session.pass("flooded", &counts)?;
    counts.pages_released += pins.release()?;
    session.pass("released", &counts)?;
    Ok(counts)
}
