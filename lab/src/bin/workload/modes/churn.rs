//! Pages pinned and released as fast as the machine can, by many threads over the
//! same folios, counted exactly. Nothing is written.

use std::thread::scope;

use anyhow::{Result, anyhow, ensure};

use crate::counts::Counts;
use crate::kernel::cross_memory::{Access, PAGES_AT_ONCE, pin_and_copy};
use crate::kernel::mapping::{Mapping, Span};
use crate::kernel::memory::{Kind, Memory};
use crate::session::Session;
use lab::page::page_bytes;
use lab::pin_counters::PinCounters;

/// How much, by how many, on what memory.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// System calls of each thread.
    #[arg(long, default_value_t = 100)]
    pub(crate) calls: usize,
    /// Pages that one call pins, at most 1024.
    #[arg(long, default_value_t = 512)]
    pub(crate) pages: usize,
    /// Threads, all over the same pages.
    #[arg(long, default_value_t = 4)]
    pub(crate) threads: usize,
    /// What memory is pinned.
    #[arg(long, value_enum, default_value = "file")]
    pub(crate) memory: Kind,
}

/// Pins and releases, then checks that the kernel counted at least as many of both.
pub(crate) fn run(args: &Args, session: &Session) -> Result<Counts> {
    ensure!(
        (1..=PAGES_AT_ONCE).contains(&args.pages),
        "--pages must be between 1 and {PAGES_AT_ONCE}"
    );
    let memory = Memory::make(args.memory, &session.dir, args.pages * page_bytes())?;
    let near = Mapping::anonymous(args.threads.max(1) * page_bytes())?;
    near.dirty(near.span(), 1);
    let before = PinCounters::read()?;
    let counts: Counts = scope(|threads| {
        let pinners: Vec<_> = (0..args.threads)
            .map(|number| {
                let (near, far) = (near.part(number, 1), memory.mapping.part(0, args.pages));
                threads.spawn(move || pin_again_and_again(args.calls, session, near, far))
            })
            .collect();
        pinners
            .into_iter()
            .map(|pinner| {
                pinner
                    .join()
                    .map_err(|_panic| anyhow!("a pinner panicked"))?
            })
            .sum::<Result<Counts>>()
    })?;
    let grown = PinCounters::read()? - before;
    ensure!(
        grown.acquired >= counts.pages_pinned && grown.released >= counts.pages_released,
        "{} pages were pinned and released; the kernel counted {grown:?}",
        counts.pages_pinned
    );
    session.pass("quiet", &counts)?;
    Ok(counts)
}

fn pin_again_and_again(calls: usize, session: &Session, near: Span, far: Span) -> Result<Counts> {
    let mut counts = Counts::default();
    for _call in 0..calls {
        if session.over() {
            break;
        }
        pin_and_copy(Access::Read, near.address, far)?;
        counts.calls += 1;
        counts.pages_pinned += far.pages() as u64;
        counts.pages_released += far.pages() as u64;
    }
    Ok(counts)
}
