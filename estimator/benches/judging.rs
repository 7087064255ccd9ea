//! How many captured walks a core judges in a second, with every estimator and the scoreboard.
//!
//! `cargo bench -p estimator [-- SAMPLES]`. The samples are random, from a fixed seed; before the clock runs, as many
//! of them are judged once with every answer checked: no panic, and no verdict without its observations.

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;

use estimator::{
    Estimator, Flags, Missing, Observations, Outcome, Pincount, Scoreboard, Seen, judge_all,
};

/// What the design asks of a replay, in samples per second and core.
const WANTED: f64 = 5e6;
const DEFAULT_SAMPLES: u32 = 10_000_000;
const ROUNDS: u32 = 10;

fn main() -> ExitCode {
    // `cargo bench` passes `--bench`, and whatever stands behind `--`.
    let samples = std::env::args()
        .find_map(|it| it.parse().ok())
        .unwrap_or(DEFAULT_SAMPLES);
    let wrong = check(samples);
    println!("{samples} random samples judged, {wrong} verdicts without their observations");

    let mut random = Random(1);
    // Few enough to stay in the cache: the cost of making and fetching samples is not that of judging them.
    let recorded: Vec<_> = (0..4096).map(|_| likely(&mut random)).collect();
    let mut board = Scoreboard::EMPTY;
    let rates = (0..ROUNDS).map(|_| round(&recorded, samples / ROUNDS, &mut board));
    // The fastest: what slows the others down is not this code.
    let rate = rates.fold(0.0, f64::max);
    println!(
        "{:.2} million samples per second and core, all estimators on",
        rate / 1e6
    );
    println!("{} walks on the board", board.walks());
    if wrong == 0 && rate >= WANTED {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Judges so many of the recorded samples, and returns how many a second.
fn round(recorded: &[Observations], samples: u32, board: &mut Scoreboard) -> f64 {
    let mut flags = Flags::CLEAR;
    let started = Instant::now();
    for seen in recorded.iter().cycle().take(samples as usize) {
        let (judged, after) = judge_all(black_box(flags), black_box(seen));
        board.record(&judged);
        flags = after;
    }
    f64::from(samples) / started.elapsed().as_secs_f64()
}

/// Judges random samples, and counts the verdicts that nothing supports.
fn check(samples: u32) -> u64 {
    let mut random = Random(2);
    let mut flags = Flags::CLEAR;
    let mut wrong = 0;
    for _ in 0..samples {
        let seen = any(&mut random);
        let (judged, after) = judge_all(flags, &seen);
        flags = after;
        for (estimator, judgement) in Estimator::ALL.into_iter().zip(&judged) {
            let decided = judgement.verdict.outcome() != Outcome::Uncertain;
            wrong += u64::from(decided && !supported(estimator, &seen));
        }
    }
    wrong
}

fn supported(estimator: Estimator, seen: &Observations) -> bool {
    match estimator {
        Estimator::Simple => seen.found.and(seen.count_exit()).is_ok(),
        Estimator::TwoWalk
        | Estimator::TwoWalkFixed
        | Estimator::Ordered
        | Estimator::OrderedRecheck => seen.found.and(seen.count_entry()).is_ok(),
        Estimator::ExpectedRefs => seen.refcount.and(seen.explained()).is_ok(),
        Estimator::Kernel => match seen.pincount {
            Ok(Pincount::Exact(_)) => true,
            Ok(Pincount::Absent) => seen.refcount.is_ok(),
            Err(_) => false,
        },
        Estimator::Ledger => seen.pins().is_ok(),
    }
}

/// What a busy file looks like: one or two mappings, sometimes a pin, seldom a race.
fn likely(random: &mut Random) -> Observations {
    let mappings = 1 + random.below(2);
    let pins = random.below(2);
    let zaps = u32::from(random.below(16) == 0);
    Observations {
        mapcount_entry: Ok(mappings),
        pins_entry: Ok(pins),
        guped_since: Ok(random.below(2) == 0),
        gups_in_walk: Ok(u32::from(random.below(16) == 0)),
        found: Ok(mappings),
        zaps_in_walk: Ok(0),
        zaps_after_walk: Ok(zaps),
        mapcount_exit: Ok(mappings - zaps),
        pins_exit: Ok(pins),
        refcount: Ok((2 + mappings + pins * 1024).cast_signed()),
        pincount: Ok(Pincount::Absent),
        nr_pages: Ok(1),
        private_refs: Ok(0),
        caller_refs: Ok(1),
        lost: false,
    }
}

fn any(random: &mut Random) -> Observations {
    Observations {
        mapcount_entry: random.seen(),
        pins_entry: random.seen(),
        guped_since: random.seen().map(|it| it % 2 == 0),
        gups_in_walk: random.seen(),
        found: random.seen(),
        zaps_in_walk: random.seen(),
        zaps_after_walk: random.seen(),
        mapcount_exit: random.seen(),
        pins_exit: random.seen(),
        refcount: random.seen().map(u32::cast_signed),
        pincount: random.seen().map(|it| match it % 3 {
            0 => Pincount::Absent,
            other => Pincount::Exact(other.cast_signed() - 1),
        }),
        nr_pages: random.seen(),
        private_refs: random.seen(),
        caller_refs: random.seen(),
        lost: random.below(16) == 0,
    }
}

/// xorshift64: a fixed seed gives the same samples on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: u64) -> u32 {
        ((self.next() >> 33) % bound) as u32
    }

    /// Mostly small, where comparisons turn over, sometimes huge, sometimes unknown.
    fn seen(&mut self) -> Seen<u32> {
        match self.below(16) {
            0 => Err(Missing::ALL[self.below(5) as usize]),
            1 => Ok(self.next() as u32),
            _ => Ok(self.below(5)),
        }
    }
}
