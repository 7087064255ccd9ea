//! Calls that pin pages and have to wait in the middle for one that is not there: the kernel counts
//! what they took so far, and nobody is told until they come back.

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
    /// Threads that make such a call at once.
    #[arg(long, default_value_t = 1)]
    callers: usize,
}

/// Phases: `ready`, `blocked` (the calls wait), `released` (they have come back).
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
    let call = move |_| std::thread::spawn(move || pin_and_copy(Access::Read, to, from));
    let calls: Vec<_> = (0..args.callers).map(call).collect();
    let wait = gate.wait_for(args.callers, PATIENCE);
    let stayed = wait.and_then(|()| session.stay_in("blocked", &counts));
    drop(gate);
    for call in calls {
        call.join()
            .map_err(|_panic| anyhow!("a caller panicked"))??;
    }
    stayed?;
    // A call may come back with what it has when its wait is over.
    let grown = PinCounters::read()? - before;
    let [fewest, most] = [args.there, args.pages].map(|it| (it * args.callers) as u64);
    ensure!(
        (fewest..=most).contains(&grown.acquired) && grown.outstanding() == 0,
        "{fewest} to {most} pages were to be pinned and released; the kernel counted {grown:?}"
    );
    counts.calls += args.callers as u64;
    counts.pages_pinned += grown.acquired;
    counts.pages_released += grown.acquired;
    session.pass("released", &counts)?;
    Ok(counts)
}
