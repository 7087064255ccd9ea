//! A private mapping of the same file pages beside the shared one: it counts in the
//! mapcount, but no mkclean walk visits it, so every mapcount estimator is misled.

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

/// How much, how often, and whether a pin went before.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Pages of both mappings.
    #[arg(long, default_value_t = 64)]
    pub(crate) pages: usize,
    /// Rounds of storing to every page and syncing.
    #[arg(long, default_value_t = 10)]
    pub(crate) rounds: usize,
    /// Pin and release every page once before, so that the pin flag is set.
    #[arg(long)]
    pub(crate) after_pin: bool,
    /// Whether the file has large folios, where its file system can.
    #[arg(long, value_enum, default_value = "large")]
    pub(crate) folios: files::Folios,
}

/// Maps twice, reads through the private mapping, stores through the shared one.
pub(crate) fn run(args: &Args, session: &Session) -> Result<Counts> {
    ensure!(args.pages > 0, "--pages must be above 0");
    let bytes = args.pages * page_bytes();
    let target = WorkFile::make(&session.dir, "target", bytes, args.folios)?;
    let shared = Mapping::shared(&target.file, bytes)?;
    let private = Mapping::private(&target.file, bytes)?;
    shared.touch(shared.span());
    let mut counts = Counts::default();
    if args.after_pin {
        // The journal's own commit would else walk some of the folios after the pins and before
        // the first round, and take their flags back.
        target.file.sync_all()?;
        let pins = HeldPins::take(Access::Read, shared.span())?;
        counts.calls += pins.calls();
        counts.pages_pinned += pins.pages();
        counts.pages_released += pins.release()?;
    }
    let folios = Folios::behind(shared.span())?;
    for _round in 0..args.rounds {
        if session.over() {
            break;
        }
        // Each round: the kernel may have taken the clean private entries away.
        private.touch(private.span());
        counts.walks_not_pinned += dirty_and_sync(&shared, &folios, &mut counts)?;
    }
    session.pass("synced", &counts)?;
    Ok(counts)
}
