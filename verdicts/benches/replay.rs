//! How many samples of a recording a core replays in a second, from the bytes of the
//! file to every verdict, with all estimators on; and that memory stays the same.
//!
//! `cargo bench -p verdicts --bench replay [-- SAMPLES]`.

use std::{
    fs,
    io::{self, Read},
    process::ExitCode,
};

use probe_abi::{MkcleanSample, SampleFlags};
use verdicts::{
    Inputs,
    recording::{Head, Reader, Writer},
    replay,
};

/// What the design asks of a replay, in samples per second and core.
const WANTED: f64 = 5e6;
const DEFAULT_SAMPLES: u64 = 2_000_000;
const ROUNDS: usize = 5;

/// Folios that take turns: a file of 64 MiB.
const FOLIOS: u64 = 16_384;

/// Growth of resident memory from the first round to the last that is noise.
const NOISE_KIB: u64 = 1024;

fn main() -> io::Result<ExitCode> {
    // `cargo bench` passes `--bench`, and whatever stands behind `--`.
    let samples = std::env::args()
        .find_map(|it| it.parse().ok())
        .unwrap_or(DEFAULT_SAMPLES);
    let recording = record(samples)?;
    println!(
        "{samples} samples in {:.1} bytes each",
        recording.len() as f64 / samples as f64
    );
    let mut best: f64 = 0.0;
    let mut resident = Vec::new();
    for _ in 0..ROUNDS {
        let before = on_cpu_seconds()?;
        let judged = replayed(&recording)?;
        // The fastest: what slows the others down is not this code.
        best = best.max(judged as f64 / (on_cpu_seconds()? - before));
        resident.push(resident_kib()?);
        assert_eq!(judged, samples, "every sample is judged");
    }
    let growth = resident[ROUNDS - 1].saturating_sub(resident[0]);
    println!(
        "{:.2} million samples per second and core, all estimators on; memory grew by {growth} KiB \
         in {} rounds",
        best / 1e6,
        ROUNDS - 1
    );
    if best >= WANTED && growth <= NOISE_KIB {
        Ok(ExitCode::SUCCESS)
    } else {
        Ok(ExitCode::FAILURE)
    }
}

fn replayed(recording: &[u8]) -> io::Result<u64> {
    let mut reader = Reader::new(Box::new(recording) as Box<dyn Read>).map_err(io::Error::other)?;
    let (judge, damage) = replay::judge(&mut reader);
    match damage {
        None => Ok(judge.judged()),
        Some(damage) => Err(io::Error::other(damage)),
    }
}

/// Walks of a file that is synced over and over while some of its pages are pinned.
fn record(samples: u64) -> io::Result<Vec<u8>> {
    let head = Head {
        kernel: "bench".to_owned(),
        agent: String::new(),
        started_unix_seconds: 0,
        page_bytes: 4096,
        ledger_slots: 1 << 18,
        inputs: Inputs {
            ptes: true,
            zaps: true,
        },
        hooks: Vec::new(),
    };
    let mut random = Random(1);
    let mut writer = Writer::new(Vec::new(), &head)?;
    for number in 0..samples {
        writer.sample(&walk(number, &mut random))?;
    }
    writer.finish()
}

fn walk(number: u64, random: &mut Random) -> MkcleanSample {
    let index = number % FOLIOS;
    let pins = random.below(3);
    let mappings = 1 + random.below(3);
    let zaps = u32::from(random.below(64) == 0);
    MkcleanSample {
        at_ns: number * 2_000 + u64::from(random.below(500)),
        walk_ns: 900 + u64::from(random.below(300)),
        folio: 0xffff_ea00_0400_0000 + index * 64,
        mapping: 0xffff_8880_1234_5678,
        index,
        inode: 12,
        device: 259 << 20,
        tid: 1234,
        mapcount_entry: mappings,
        mapcount_exit: mappings - zaps,
        pins_entry: pins,
        pins_exit: pins,
        ptes_found: mappings,
        zaps,
        gups: u32::from(random.below(64) == 0),
        gups_entry: (number / FOLIOS) as u32,
        cleaned: mappings,
        refcount: 2 + mappings + pins * 1024,
        pages: 1,
        flags: SampleFlags::GUPED
            | SampleFlags::MAPCOUNT_KNOWN
            | SampleFlags::PTES_KNOWN
            | SampleFlags::ZAPS_KNOWN
            | SampleFlags::TRUTH_KNOWN
            | SampleFlags::CACHED,
        ..MkcleanSample::default()
    }
}

/// Time that this thread had a core to itself, however many others wanted one.
fn on_cpu_seconds() -> io::Result<f64> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    text.split_whitespace()
        .next()
        .and_then(|it| it.parse::<f64>().ok())
        .map(|ns| ns / 1e9)
        .ok_or_else(|| io::Error::other("/proc/thread-self/schedstat has no time"))
}

fn resident_kib() -> io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    status
        .lines()
        .find_map(|line| {
            line.strip_prefix("VmRSS:")?
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        })
        .ok_or_else(|| io::Error::other("/proc/self/status has no VmRSS"))
}

/// xorshift64: a fixed seed gives the same samples on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 33) % bound) as u32
    }
}
