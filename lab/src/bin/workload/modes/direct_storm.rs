//! Direct reads by many threads into one shared file mapping that others store to and sync, and direct
//! reads beside: pins released by interrupts on top of whatever runs. All is released at the end.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::counts::Counts;
use crate::kernel::cross_memory::{Access, PAGES_AT_ONCE, pin_and_copy};
use crate::kernel::files::{Folios, WorkFile};
use crate::kernel::mapping::{Mapping, Span};
use crate::modes::direct_read::{read_direct, settle_the_kind};
use crate::modes::together::{self, Job, Together};
use crate::session::Session;
use lab::page::page_bytes;
use lab::pin_counters::PinCounters;

/// For how long, and by how many.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// How long it storms.
    #[arg(long, default_value = "10s", value_parser = crate::duration::parse)]
    storm: Duration,
    /// Threads that read directly into the shared mapping.
    #[arg(long, default_value_t = 8)]
    threads: usize,
    /// Pages of the mapping.
    #[arg(long, default_value_t = 256)]
    pages: usize,
    /// Pages that one read fills.
    #[arg(long, default_value_t = 16)]
    at_once: usize,
    /// Whether the file has large folios, where its file system can.
    #[arg(long, value_enum, default_value = "small")]
    folios: Folios,
    /// Threads that read directly into memory of their own, beside.
    #[arg(long, default_value_t = 2)]
    beside: usize,
    /// Threads that pin the mapping by `process_vm_readv`, beside: that pins also where direct reads take references.
    #[arg(long, default_value_t = 0)]
    pinners: usize,
}

/// What the threads share.
struct Storm<'a> {
    args: &'a Args,
    source: WorkFile,
    mapping: Mapping,
    /// Where the next read goes.
    turn: AtomicUsize,
}

/// Phases: `ready` (nothing read yet), `stormed` (nothing held any more).
pub(crate) fn run(args: &Args, session: &Session) -> Result<Counts> {
    ensure!(
        (1..=args.pages.min(PAGES_AT_ONCE)).contains(&args.at_once),
        "--at-once must be between 1 and --pages, and at most {PAGES_AT_ONCE}"
    );
    let source = WorkFile::make(
        &session.dir,
        "source",
        args.at_once * page_bytes(),
        Folios::Large,
    )?;
    let target = WorkFile::make(
        &session.dir,
        "target",
        args.pages * page_bytes(),
        args.folios,
    )?;
    let mapping = Mapping::shared(&target.file, args.pages * page_bytes())?;
    mapping.touch(mapping.span());
    let storm = Storm {
        args,
        source,
        mapping,
        turn: AtomicUsize::new(0),
    };
    let storm = &storm;
    session.pass("ready", &Counts::default())?;

    let before = PinCounters::read()?;
    let mut jobs: Vec<Job> = vec![
        Box::new(|while_it| storm.store(while_it)),
        Box::new(|while_it| storm.sync(while_it)),
    ];
    for _thread in 0..args.threads {
        jobs.push(Box::new(|while_it| storm.read(while_it)));
    }
    for _thread in 0..args.beside {
        jobs.push(Box::new(|while_it| storm.read_beside(while_it)));
    }
    for _thread in 0..args.pinners {
        jobs.push(Box::new(|while_it| storm.pin(while_it)));
    }
    let mut counts = together::run(session, args.storm, jobs)?;
    let mut grown = PinCounters::read()? - before;
    grown.acquired = grown.acquired.saturating_sub(counts.pages_pinned);
    settle_the_kind(&mut counts, grown)?;
    session.pass("stormed", &counts)?;
    Ok(counts)
}

impl Storm<'_> {
    /// The part of the mapping whose turn it is.
    fn next(&self) -> Span {
        let parts = self.args.pages / self.args.at_once;
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % parts;
        self.mapping
            .part(turn * self.args.at_once, self.args.at_once)
    }

    fn read(&self, while_it: &Together) -> Result<Counts> {
        self.read_into(while_it, || self.next())
    }

    fn read_beside(&self, while_it: &Together) -> Result<Counts> {
        let own = Mapping::anonymous(self.args.at_once * page_bytes())?;
        self.read_into(while_it, || own.span())
    }

    fn read_into(&self, while_it: &Together, next: impl Fn() -> Span) -> Result<Counts> {
        let source = self.source.open_direct()?;
        let mut counts = Counts::default();
        while while_it.on() {
            let into = next();
            read_direct(&source, into)?;
            counts.calls += 1;
            counts.reads += 1;
            counts.bytes_read += into.length as u64;
        }
        Ok(counts)
    }

    fn store(&self, while_it: &Together) -> Result<Counts> {
        let mut counts = Counts::default();
        while while_it.on() {
            counts.pages_dirtied += self.mapping.dirty(self.mapping.span(), 0x57);
        }
        Ok(counts)
    }

    fn sync(&self, while_it: &Together) -> Result<Counts> {
        let mut counts = Counts::default();
        while while_it.on() {
            self.mapping.sync(self.mapping.span())?;
            counts.syncs += 1;
        }
        Ok(counts)
    }

    fn pin(&self, while_it: &Together) -> Result<Counts> {
        let near = Mapping::anonymous(page_bytes())?;
        near.dirty(near.span(), 1);
        let mut counts = Counts::default();
        while while_it.on() {
            let far = self.next();
            pin_and_copy(Access::Read, near.span().address, far)?;
            counts.calls += 1;
            counts.pages_pinned += far.pages() as u64;
            counts.pages_released += far.pages() as u64;
        }
        Ok(counts)
    }
}
