//! A call that pins pages and has to wait in the middle for one that is not there: the kernel counts
//! what it took so far, and nobody is told until the call comes back.

use std::time::Duration;

use anyhow::{Result, anyhow, ensure};

use crate::counts::Counts;
use crate::kernel::cross_memory::{Access, PAGES_AT_ONCE, pin_and_copy};
use crate::kernel::fault_gate::FaultGate;
use crate::kernel::mapping::Mapping;
use crate::session::Session;
use lab::page::page_bytes;
use lab::pin_counters::PinCounters;

/// How long the call may take until it waits.
const PATIENCE: Duration = Duration::from_secs(60);

/// How much.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Pages that the call is asked for.
    #[arg(long, default_value_t = 64)]
    pages: usize,
    /// The first of them that are there.
    #[arg(long, default_value_t = 32)]
    there: usize,
}

/// Phases: `ready`, `blocked` (the call waits), `released` (it has come back).
pub(crate) fn run(args: &Args, session: &Session) -> Result<Counts> {
    ensure!(
        args.there < args.pages && args.pages <= PAGES_AT_ONCE,
        "--there must be less than --pages, which is at most {PAGES_AT_ONCE}"
    );
    let far = Mapping::anonymous(args.pages * page_bytes())?;
    far.dirty(far.part(0, args.there), 1);
    let near = Mapping::anonymous(page_bytes())?;
    near.dirty(near.span(), 1);
    let mut counts = Counts::default();
    session.pass("ready", &counts)?;

    let before = PinCounters::read()?;
    let gate = FaultGate::over(&far)?;
    let (from, to) = (far.span(), near.span().address);
    let call = std::thread::spawn(move || pin_and_copy(Access::Read, to, from));
    let waits = gate.wait_for(1, PATIENCE);
    let stayed = waits.and_then(|()| session.stay_in("blocked", &counts));
    drop(gate);
    call.join()
        .map_err(|_panic| anyhow!("the caller panicked"))??;
    stayed?;
    // It may come back with what it has when its wait is over.
    let grown = PinCounters::read()? - before;
    ensure!(
        (args.there as u64..=args.pages as u64).contains(&grown.acquired)
            && grown.outstanding() == 0,
        "{} to {} pages were to be pinned and released; the kernel counted {grown:?}",
        args.there,
        args.pages
    );
    counts.calls += 1;
    counts.pages_pinned += grown.acquired;
    counts.pages_released += grown.acquired;
    session.pass("released", &counts)?;
    Ok(counts)
}
