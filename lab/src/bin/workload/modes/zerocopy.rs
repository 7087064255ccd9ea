//! Datagrams sent with `MSG_ZEROCOPY` over loopback: short references on anonymous pages.

use anyhow::{Result, ensure};

use crate::counts::Counts;
use crate::kernel::mapping::Mapping;
use crate::kernel::zerocopy::{PAGES_AT_ONCE, Pair};
use crate::session::Session;
use lab::page::page_bytes;

/// How much and how often.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Datagrams sent.
    #[arg(long, default_value_t = 100)]
    pub(crate) sends: usize,
    /// Pages of one datagram, at most 8.
    #[arg(long, default_value_t = 4)]
    pub(crate) pages: usize,
}

/// Phases: `ready` (nothing sent yet), `sent`. One after the other, each released before the
/// next.
pub(crate) fn run(args: &Args, session: &Session) -> Result<Counts> {
    ensure!(
        (1..=PAGES_AT_ONCE).contains(&args.pages),
        "--pages must be between 1 and {PAGES_AT_ONCE}"
    );
    let memory = Mapping::anonymous(args.pages * page_bytes())?;
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
        counts.pages_referenced += args.pages as u64;
        counts.pages_unreferenced += args.pages as u64;
    }
    session.pass("sent", &counts)?;
    Ok(counts)
}
