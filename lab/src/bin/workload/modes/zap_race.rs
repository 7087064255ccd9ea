//! Page-table entries thrown away and brought back while others sync the file and read
//! directly into the same pages: the races that a mapcount estimator has to survive.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::scope;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};

use crate::counts::Counts;
use crate::kernel::PAGE;
use crate::kernel::files::{Folios, WorkFile};
use crate::kernel::mapping::Mapping;
use crate::modes::direct_read::{read_direct, settle_the_kind};
use crate::session::Session;
use lab::pin_counters::PinCounters;

/// How much and for how long.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Pages of the mapping.
    #[arg(long, default_value_t = 64)]
    pub(crate) pages: usize,
    /// How long to race.
    #[arg(long, default_value = "2s", value_parser = crate::duration::parse)]
    pub(crate) race: Duration,
    /// Threads that read directly into the mapping; 0 for a race without pins.
    #[arg(long, default_value_t = 1)]
    pub(crate) readers: usize,
}

/// The file, its mapping, and when to stop.
struct Race<'a> {
    session: &'a Session,
    source: WorkFile,
    target: WorkFile,
    mapping: Mapping,
    until: Instant,
    failed: AtomicBool,
}

/// Races until the time is up; every thread that fails ends the race.
pub(crate) fn run(args: &Args, session: &Session) -> Result<Counts> {
    ensure!(args.pages > 0, "--pages must be above 0");
    let bytes = args.pages * PAGE;
    let source = WorkFile::make(&session.dir, "source", bytes, Folios::Large)?;
    let target = WorkFile::make(&session.dir, "target", bytes, Folios::Large)?;
    let mapping = Mapping::shared(&target.file, bytes)?;
    let before = PinCounters::read()?;
    let until = Instant::now() + args.race;
    let race = Race {
        session,
        source,
        target,
        mapping,
        until,
        failed: AtomicBool::new(false),
    };
    let race = &race;
    let kinds = [zap_and_touch, map_again_and_touch, map_elsewhere, sync_on]
        .into_iter()
        .chain(std::iter::repeat_n(
            read_on as fn(&Race) -> Result<Counts>,
            args.readers,
        ));
    let mut counts: Counts = scope(|threads| {
        let racers: Vec<_> = kinds
            .map(|kind| threads.spawn(move || race.join(kind)))
            .collect();
        racers
            .into_iter()
            .map(|racer| racer.join().map_err(|_panic| anyhow!("a racer panicked"))?)
            .sum::<Result<Counts>>()
    })?;
    settle_the_kind(&mut counts, PinCounters::read()? - before)?;
    session.pass("raced", &counts)?;
    Ok(counts)
}

impl Race<'_> {
    fn join(&self, kind: fn(&Self) -> Result<Counts>) -> Result<Counts> {
        let ended = kind(self);
        if ended.is_err() {
            self.failed.store(true, Ordering::Relaxed);
        }
        ended
    }

    fn on(&self) -> bool {
        !self.failed.load(Ordering::Relaxed) && !self.session.over() && Instant::now() < self.until
    }
}

fn zap_and_touch(race: &Race) -> Result<Counts> {
    let mut counts = Counts::default();
    while race.on() {
        race.mapping.forget(race.mapping.span())?;
        counts.zaps += 1;
        counts.pages_dirtied += race.mapping.dirty(race.mapping.span(), 0x2a);
    }
    Ok(counts)
}

fn map_again_and_touch(race: &Race) -> Result<Counts> {
    let mut counts = Counts::default();
    let half = race
        .mapping
        .part(0, race.mapping.span().pages().div_ceil(2));
    while race.on() {
        race.mapping.map_again(&race.target.file, half)?;
        counts.zaps += 1;
        counts.pages_dirtied += race.mapping.dirty(half, 0x2b);
    }
    Ok(counts)
}

/// A second mapping that comes and goes as a whole: munmap beside the shared entries.
fn map_elsewhere(race: &Race) -> Result<Counts> {
    let mut counts = Counts::default();
    while race.on() {
        let second = Mapping::shared(&race.target.file, race.mapping.span().length)?;
        second.touch(second.span());
        drop(second);
        counts.zaps += 1;
    }
    Ok(counts)
}

fn sync_on(race: &Race) -> Result<Counts> {
    let mut counts = Counts::default();
    while race.on() {
        race.mapping.sync(race.mapping.span())?;
        counts.syncs += 1;
    }
    Ok(counts)
}

fn read_on(race: &Race) -> Result<Counts> {
    let source = race.source.open_direct()?;
    let mut counts = Counts::default();
    while race.on() {
        read_direct(&source, race.mapping.span())?;
        counts.calls += 1;
        counts.reads += 1;
        counts.bytes_read += race.mapping.span().length as u64;
    }
    Ok(counts)
}
