//! Pins held on the pages of a shared file mapping while the file is synced again and
//! again: writeback meets pinned file pages. On every kernel, without a module.

use std::path::PathBuf;

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

/// How much, what for, and how often the file is synced meanwhile.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Pages pinned.
    #[arg(long, default_value_t = 1024)]
    pub(crate) pages: usize,
    /// Whether the pins are for reading or for writing.
    #[arg(long, value_enum, default_value = "write")]
    pub(crate) access: Access,
    /// Syncs while the pins are held; every page is dirtied before each.
    #[arg(long, default_value_t = 3)]
    pub(crate) syncs: usize,
    /// Whether the file has large folios, where its file system can.
    #[arg(long, value_enum, default_value = "large")]
    pub(crate) folios: files::Folios,
    /// Pins the pages of this file, which others may pin as well, instead of one of its own.
    #[arg(long, conflicts_with = "folios")]
    pub(crate) file: Option<PathBuf>,
}

/// Phases: `held` (pins there, nothing synced yet), `synced` (still there), `released`,
/// `settled` (the pages that the release set dirty are on the disk).
pub(crate) fn run(args: &Args, session: &Session) -> Result<Counts> {
    ensure!(args.pages > 0, "--pages must be above 0");
    let bytes = args.pages * page_bytes();
    let target = match &args.file {
        Some(path) => WorkFile::open(path, bytes)?,
        None => WorkFile::make(&session.dir, "target", bytes, args.folios)?,
    };
    let mapping = Mapping::shared(&target.file, bytes)?;
    mapping.touch(mapping.span());
    let mut counts = Counts::default();

    let pins = HeldPins::take(args.access, mapping.span())?;
    counts.pages_pinned += pins.pages();
    counts.calls += pins.calls();
    session.stay_in("held", &counts)?;

    let folios = Folios::behind(mapping.span())?;
    for _sync in 0..args.syncs {
        if session.over() {
            break;
        }
        counts.walks_pinned += dirty_and_sync(&mapping, &folios, &mut counts)?;
    }
    session.stay_in("synced", &counts)?;

    counts.pages_released += pins.release()?;
    session.pass("released", &counts)?;

    let dirty = folios.dirty()?;
    mapping.sync(mapping.span())?;
    counts.syncs += 1;
    counts.walks_not_pinned += dirty;
    session.pass("settled", &counts)?;
    Ok(counts)
}
