//! What modes do that pin some pages for long and nothing else. Leaves out what is asked of the
//! kernel to pin them.

use anyhow::{Result, ensure};

use crate::counts::Counts;
use crate::session::Session;
use lab::pin_counters::PinCounters;

/// Pins `pages` by one call and releases them. Phases: `held`, `released`.
pub(crate) fn hold<T>(
    session: &Session,
    pages: u64,
    pin: impl FnOnce() -> Result<T>,
    release: impl FnOnce(T) -> Result<()>,
) -> Result<Counts> {
    let mut counts = Counts::default();
    let before = PinCounters::read()?;
    let held = pin()?;
    let grown = PinCounters::read()? - before;
    ensure!(
        grown.acquired >= pages,
        "{pages} pages were to be pinned; the kernel counted {grown:?}"
    );
    counts.calls += 1;
    counts.pages_pinned += pages;
    session.stay_in("held", &counts)?;

    let before = PinCounters::read()?;
    release(held)?;
    before.wait_for_release(pages)?;
    counts.pages_released += pages;
    session.pass("released", &counts)?;
    Ok(counts)
}
