//! Datagrams sent with `MSG_ZEROCOPY` over loopback: short references on anonymous pages.

use anyhow::{Result, ensure};

use crate::counts::Counts;
use crate::kernel::mapping::Mapping;
use crate::kernel::zerocopy::{Pair, pages_at_once};
use crate::session::Session;
use lab::page::page_bytes;

/// How much and how often.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Datagrams sent.
    #[arg(long, default_value_t = 100)]
    pub(crate) sends: usize,
    /// Pages of one datagram; without it four, or as many as fit.
    #[arg(long)]
    pub(crate) pages: Option<usize>,
}

/// Phases: `ready` (nothing sent yet), `sent`. One after the other, each released before the
/// next.
pub(crate) fn run(args: &Args, session: &Session) -> Result<Counts> {
    let most = pages_at_once();
    let pages = args.pages.unwrap_or(most.min(4));
    ensure!(
        (1..=most).contains(&pages),
        "--pages must be between 1 and {most}"
    );
    let memory = Mapping::anonymous(pages * page_bytes())?;
    memory.dirty(memory.span(), 1);
    let pair = Pair::open()?;
    let mut counts = Counts::default();
    session.pass("ready", &counts)?;
    for _send in 0..args.sends {
        if session.over() {
            break;
        }
        pair.send(memory.span())?;
        counts.calls += 1;
        counts.pages_referenced += pages as u64;
        counts.pages_unreferenced += pages as u64;
    }
    session.pass("sent", &counts)?;
    Ok(counts)
}
