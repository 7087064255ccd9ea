//! Input that nobody meant, for what parses: seeds that are changed at random, the same ones in every
//! test run. Leaves out what is right; a check fails by a panic, or by taking too long.
//!
//! `cargo xtask fuzz` has each target run for a time, from another beginning each time.

use std::{
    env, thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Inputs of a run in the tests.
const INPUTS: u64 = 2_000;

/// No input takes longer, on a slow machine.
const MOST_TIME: Duration = Duration::from_secs(2);

/// No input is longer.
const MOST_BYTES: usize = 1 << 14;

/// What parsers look for.
const TOKENS: [&[u8]; 16] = [
    b"\n",
    b" ",
    b":",
    b"/",
    b"-",
    b"\0",
    b"\xff",
    b"{",
    b"[",
    b"\"",
    b"&a",
    b"*a",
    b"+0x",
    b"\\040",
    b"18446744073709551615",
    b"-1",
];

/// Hands changed seeds to `check`: a fixed number of them, or for `PINSCOPE_FUZZ_SECONDS`.
pub(crate) fn bytes(seeds: &[&[u8]], mut check: impl FnMut(&[u8])) {
    let seconds = env::var("PINSCOPE_FUZZ_SECONDS").ok();
    let seconds: Option<u64> = seconds.map(|it| it.parse().expect("a number of seconds"));
    let mut random = Random(match seconds {
        None => 1,
        Some(_) => SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(1, |it| it.as_nanos() as u64),
    });
    let begun = Instant::now();
    let mut inputs = 0;
    seeds.iter().for_each(|it| one(it, &mut check));
    while match seconds {
        None => inputs < INPUTS,
        Some(it) => begun.elapsed() < Duration::from_secs(it),
    } {
        one(&random.changed(seeds), &mut check);
        inputs += 1;
    }
    if seconds.is_some() {
        println!("{inputs} inputs");
    }
}

fn one(input: &[u8], check: &mut impl FnMut(&[u8])) {
    let shown = Shown(input);
    let begun = Instant::now();
    check(shown.0);
    let took = begun.elapsed();
    assert!(took < MOST_TIME, "it took {took:?}");
}

/// Says which input it was.
struct Shown<'a>(&'a [u8]);

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the input was b\"{}\"", self.0.escape_ascii());
        }
    }
}

/// Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }

    fn changed(&mut self, seeds: &[&[u8]]) -> Vec<u8> {
        let mut input = seeds[self.below(seeds.len())].to_vec();
        for _ in 0..=self.below(8) {
            let at = self.below(input.len() + 1);
            let end = (at + self.below(16)).min(input.len());
            match self.below(7) {
                0 if at < input.len() => input[at] ^= 1 << self.below(8),
                1 if at < input.len() => input[at] = self.below(256) as u8,
                2 => drop(input.drain(at..end)),
                3 => input.truncate(at),
                4 => {
                    let again = input[at..end].repeat(1 + self.below(64));
                    input.splice(at..at, again);
                }
                5 => {
                    let other = seeds[self.below(seeds.len())];
                    let from = self.below(other.len() + 1);
                    input.splice(at..at, other[from..].iter().copied());
                }
                _ => {
                    let token = TOKENS[self.below(TOKENS.len())];
                    input.splice(at..end, token.iter().copied());
                }
            }
            input.truncate(MOST_BYTES);
        }
        input
    }
}

#[test]
fn inputs_differ_and_are_the_same_in_every_run() {
    let run = || {
        let mut all = Vec::new();
        let mut random = Random(1);
        (0..100).for_each(|_| all.push(random.changed(&[b"a: b\n", b"c"])));
        all
    };
    let (mut once, again) = (run(), run());
    assert_eq!(once, again);
    once.sort();
    once.dedup();
    assert!(once.len() > 60, "{}", once.len());
}
