//! Page-table entries thrown away and brought back while others sync the file and read
//! directly into the same pages: the races that a mapcount estimator has to survive.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::counts::Counts;
use crate::kernel::files::{Folios, WorkFile};
use crate::kernel::mapping::Mapping;
use crate::modes::direct_read::{read_direct, settle_the_kind};
use crate::modes::together::{self, Job, Together};
use crate::session::Session;
use lab::page::page_bytes;
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

/// The files and the mapping.
struct Race {
    source: WorkFile,
    target: WorkFile,
    mapping: Mapping,
}

/// What a thread of it does.
type Racer = fn(&Race, &Together) -> Result<Counts>;

/// Races until the time is up; every thread that fails ends the race.
pub(crate) fn run(args: &Args, session: &Session) -> Result<Counts> {
    ensure!(args.pages > 0, "--pages must be above 0");
    let bytes = args.pages * page_bytes();
    let source = WorkFile::make(&session.dir, "source", bytes, Folios::Large)?;
    let target = WorkFile::make(&session.dir, "target", bytes, Folios::Large)?;
    let mapping = Mapping::shared(&target.file, bytes)?;
    let before = PinCounters::read()?;
    let race = &Race {
        source,
        target,
        mapping,
    };
    let racers: [Racer; 4] = [zap_and_touch, map_again_and_touch, map_elsewhere, sync_on];
    let readers = std::iter::repeat_n(read_on as Racer, args.readers);
    let jobs = racers
        .into_iter()
        .chain(readers)
        .map(|racer| -> Job { Box::new(move |while_it| racer(race, while_it)) })
        .collect();
    let mut counts = together::run(session, args.race, jobs)?;
    settle_the_kind(&mut counts, PinCounters::read()? - before)?;
    session.pass("raced", &counts)?;
    Ok(counts)
}

fn zap_and_touch(race: &Race, while_it: &Together) -> Result<Counts> {
    let mut counts = Counts::default();
    while while_it.on() {
        race.mapping.forget(race.mapping.span())?;
        counts.zaps += 1;
        counts.pages_dirtied += race.mapping.dirty(race.mapping.span(), 0x2a);
    }
    Ok(counts)
}

fn map_again_and_touch(race: &Race, while_it: &Together) -> Result<Counts> {
    let mut counts = Counts::default();
    let half = race
        .mapping
        .part(0, race.mapping.span().pages().div_ceil(2));
    while while_it.on() {
        race.mapping.map_again(&race.target.file, half)?;
        counts.zaps += 1;
        counts.pages_dirtied += race.mapping.dirty(half, 0x2b);
    }
    Ok(counts)
}

/// A second mapping that comes and goes as a whole: munmap beside the shared entries.
fn map_elsewhere(race: &Race, while_it: &Together) -> Result<Counts> {
    let mut counts = Counts::default();
    while while_it.on() {
        let second = Mapping::shared(&race.target.file, race.mapping.span().length)?;
        second.touch(second.span());
        drop(second);
        counts.zaps += 1;
    }
    Ok(counts)
}

fn sync_on(race: &Race, while_it: &Together) -> Result<Counts> {
    let mut counts = Counts::default();
    while while_it.on() {
        race.mapping.sync(race.mapping.span())?;
        counts.syncs += 1;
    }
    Ok(counts)
}

fn read_on(race: &Race, while_it: &Together) -> Result<Counts> {
    let source = race.source.open_direct()?;
    let mut counts = Counts::default();
    while while_it.on() {
        read_direct(&source, race.mapping.span())?;
        counts.calls += 1;
        counts.reads += 1;
        counts.bytes_read += race.mapping.span().length as u64;
    }
    Ok(counts)
}
