//! The trial of zaps: pages that the ledger remembers are unmapped again and again
//! while a page with many mappings is written back, whose walk takes its time. Both
//! clocks are the same, so that it is known which unmaps fell into the walk.

use std::{
    collections::HashSet,
    io::{self, Error},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use aya::maps::{MapData, RingBuf};
use hooks::{Exercise, MAPCOUNT_DECREMENT, ZAP};
use memmap2::MmapMut;

use super::{
    memory::{PAGES, read_across, splice, touch, unmap, write_back},
    outcome::Observation,
    trials::Trials,
    walk::clean_one,
};
use crate::kernel::sys::{awake, page_bytes};

const HOOKS: [&str; 2] = [ZAP, MAPCOUNT_DECREMENT];

/// Mappings of the page that is written back, for each of which other CPUs have to be
/// told: a walk of a tenth of a millisecond, and a hundred times that where emulated.
const MAPPINGS: usize = 32;

/// Unmaps that have to fall wholly into a walk before none seen is a failure: the
/// walk's own times are a little wider than what the hook goes by.
const CERTAIN: usize = 4;

/// Walks that are tried.
const WALKS: u32 = 3;

/// Unmaps of one try; no walk is as long.
const UNMAPS: usize = 1 << 16;

/// Of the probes' clock.
type Span = (Duration, Duration);

/// What both hooks saw of it.
pub(super) fn observe(
    trials: &mut Trials<'_>,
    samples: &mut RingBuf<MapData>,
) -> Option<Observation> {
    let attached = HOOKS.iter().all(|it| trials.is_attached(it));
    let pages = attached.then(|| trials.file.take()).flatten()?;
    let outcome = races(trials, samples, &pages);
    trials.file = Some(pages);
    match outcome {
        Ok(Some(seen)) => Some(Observation {
            about: HOOKS.to_vec(),
            seen: seen.map(|()| HOOKS.to_vec()),
        }),
        Ok(None) => {
            let why = "no unmap of our own fell into a walk of our own";
            trials.untested(&HOOKS[..1], why.to_owned());
            None
        }
        Err(error) => {
            let why = format!("no page of a file could be written back: {error}");
            trials.untested(&HOOKS[..1], why);
            None
        }
    }
}

/// `None` if no unmap met a walk.
fn races(
    trials: &mut Trials<'_>,
    samples: &mut RingBuf<MapData>,
    pages: &MmapMut,
) -> io::Result<Option<Result<(), String>>> {
    if thread::available_parallelism()?.get() < 2 {
        return Err(Error::other("that takes two CPUs"));
    }
    // Into the ledger, where they are remembered.
    if trials.sees(Exercise::ProcessVmReadv) {
        read_across(pages)?;
    } else {
        splice(pages)?;
    }
    trials.look_for_keys();
    let keys = trials.keys.clone();
    let mut missed = 0;
    for _ in 0..WALKS {
        let met = race(trials, samples, pages, &keys)?;
        match met {
            Met {
                noted: 0, inside, ..
            } => missed += inside,
            Met { noted, all, .. } if noted > all * PAGES => {
                let all = all * PAGES;
                return Ok(Some(Err(format!(
                    "{all} entries were unmapped, it saw {noted}"
                ))));
            }
            Met { .. } => return Ok(Some(Ok(()))),
        }
        if missed >= CERTAIN {
            return Ok(Some(Err(format!(
                "{} entries were unmapped during a walk, it saw none",
                missed * PAGES
            ))));
        }
    }
    Ok(None)
}

/// One walk: unmaps that fell into it, all there were, and entries that were noted.
struct Met {
    inside: usize,
    all: usize,
    noted: usize,
}

fn race(
    trials: &mut Trials<'_>,
    samples: &mut RingBuf<MapData>,
    pages: &MmapMut,
    keys: &HashSet<u64>,
) -> io::Result<Met> {
    let before = trials.witness.zapped(keys);
    let deadline = trials.deadline;
    let mut unmaps = Vec::new();
    let sample = clean_one(trials, samples, |disk| {
        let mut mappings: Vec<MmapMut> = (0..MAPPINGS)
            .map(|_| disk.first_page())
            .collect::<io::Result<_>>()?;
        mappings.iter_mut().for_each(|it| touch(it));
        let file = disk.file.try_clone()?;
        let (begun, over) = (AtomicBool::new(false), AtomicBool::new(false));
        thread::scope(|threads| {
            let unmapper = threads.spawn(|| unmap_until(pages, &begun, &over));
            while !begun.load(Ordering::Acquire) && !unmapper.is_finished() {
                thread::yield_now();
            }
            // To unmap them waits for the walk, however long that takes.
            let done = deadline.act(move || {
                let done = write_back(&file);
                drop(mappings);
                done
            });
            over.store(true, Ordering::Release);
            unmaps = unmapper
                .join()
                .map_err(|_panic| Error::other("the thread that unmaps failed"))??;
            done
        })
    })?;
    let walk: Option<Span> = sample.map(|it| {
        let (from, to) = (it.at_ns.saturating_sub(it.walk_ns), it.at_ns);
        (Duration::from_nanos(from), Duration::from_nanos(to))
    });
    let inside = walk.map_or(0, |(from, to)| {
        let within = |(begin, end): &&Span| from < *begin && *end < to;
        unmaps.iter().filter(within).count()
    });
    let noted = trials.witness.zapped(keys).wrapping_sub(before) as usize;
    Ok(Met {
        inside,
        all: unmaps.len(),
        noted,
    })
}

/// When each unmap of all pages began and ended.
fn unmap_until(pages: &MmapMut, begun: &AtomicBool, over: &AtomicBool) -> io::Result<Vec<Span>> {
    let mut unmaps = Vec::new();
    while unmaps.len() < UNMAPS && !over.load(Ordering::Acquire) {
        for page in pages.chunks(page_bytes() as usize) {
            std::hint::black_box(page[0]);
        }
        let begin = awake();
        unmap(pages)?;
        unmaps.push((begin, awake()));
        begun.store(true, Ordering::Release);
    }
    Ok(unmaps)
}
