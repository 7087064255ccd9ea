//! When the ledger is full it keeps a sample of folios: which strata of it are
//! complete, when it may keep more again, and what the sample says of the whole.

use log::info;
use probe_abi::{CpuCounters, STRATA};

use crate::kernel::maps::Settings;

/// 1.96 standard deviations: a normal estimate is off by more once in twenty.
const DEVIATIONS: f64 = 1.96;

/// What is known of each stratum.
#[derive(Clone, Debug)]
pub(crate) struct Sampling {
    level: usize,
    /// Pins of the stratum that were not in the ledger before it was last passed
    /// over: not the sampling's.
    base: [i64; STRATA],
    /// Whether every pin of the stratum is in the ledger.
    complete: [bool; STRATA],
    /// Releases that the ledger should have held and did not, as far as they were of
    /// strata that were complete; and all of them when they were last looked at.
    unmatched: u64,
    unmatched_before: [u64; STRATA],
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            level: 0,
            base: [0; STRATA],
            complete: [true; STRATA],
            unmatched: 0,
            unmatched_before: [0; STRATA],
        }
    }
}

/// Pages that are pinned and not in the ledger, by stratum; negative where more were
/// released than the probes saw pinned.
pub(crate) type Outside = [i64; STRATA];

/// By the probes' totals.
pub(crate) fn outside(totals: &CpuCounters) -> Outside {
    totals.passed_over.map(u64::cast_signed)
}

/// The first stratum that is kept at a level.
pub(crate) fn passed_over_below(level: u64) -> usize {
    level.min(STRATA as u64 - 1) as usize
}

impl Sampling {
    /// Takes note of the level, of what is not in the ledger, and of the releases that it
    /// should have held and did not. The probes must not have risen above that level before the
    /// others were read: what they pass over would be taken for pins from before the start.
    pub(crate) fn observe(&mut self, level: u64, outside: &Outside, unmatched: &[u64; STRATA]) {
        self.level = passed_over_below(level);
        for stratum in 0..STRATA {
            let released = unmatched[stratum].saturating_sub(self.unmatched_before[stratum]);
            self.unmatched_before[stratum] = unmatched[stratum];
            // Of a stratum that is not complete it is what was passed over.
            if self.complete[stratum] {
                self.unmatched += released;
            }
            if stratum < self.level {
                self.complete[stratum] = false;
            } else if self.complete[stratum] {
                // Pins from before the start are released; nothing else moves it.
                self.base[stratum] = outside[stratum];
            } else if outside[stratum] <= self.base[stratum] {
                self.complete[stratum] = true;
            }
        }
    }

    /// Releases that the ledger should have held and did not, in pages: of pins from before
    /// the start, or of such as were not seen.
    pub(crate) fn unmatched(&self) -> u64 {
        self.unmatched
    }

    /// Pages that are pinned and that sampling keeps out of the ledger.
    pub(crate) fn passed_over(&self, outside: &Outside) -> u64 {
        (0..STRATA)
            .filter(|stratum| !self.complete[*stratum])
            .map(|stratum| outside[stratum] - self.base[stratum])
            .map(|outside| outside.max(0).cast_unsigned())
            .sum()
    }

    /// The lowest stratum from which on the ledger is complete, if any is: one
    /// folio in two to its power is in it. 0 means that nothing is missing.
    pub(crate) fn complete_from(&self) -> Option<usize> {
        let missing = (0..STRATA).rev().find(|it| !self.complete[*it]);
        match missing {
            None => Some(0),
            Some(last) if last + 1 < STRATA => Some(last + 1),
            Some(_) => None,
        }
    }

    /// The first stratum of the sample. Where none is complete, the last one is the best
    /// there is.
    pub(crate) fn from(&self) -> usize {
        self.complete_from().unwrap_or(STRATA - 1)
    }

    /// Has the probes keep more again, if all folios that are pinned would now fit.
    pub(crate) fn adjust(&self, settings: &Settings, folios: u64, slots: u64) {
        let level = settings.level();
        let Some(to) = self.lower(folios, slots) else {
            return;
        };
        if settings.lower(level) {
            info!("the ledger has room: it keeps one folio in {}", 1_u64 << to);
        }
    }

    /// The level to go down to, if all folios that are pinned would now fit.
    pub(crate) fn lower(&self, folios: u64, slots: u64) -> Option<usize> {
        let one_in = 1u64 << self.complete_from()?;
        let fits = folios.saturating_mul(one_in) <= slots / 2;
        self.level.checked_sub(1).filter(|_| fits)
    }
}

/// How much of a total is one group's, as a sample of folios has it. Of each folio there is
/// a figure that is asked for, and its pins, of which the total is known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Share {
    /// Sum of the figure over the sample.
    pub(crate) sum: f64,
    /// Sums of its squares, and of its products with the pins.
    pub(crate) squares: f64,
    pub(crate) products: f64,
}

/// The sample as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Whole {
    /// Pins, and their squares by folio.
    pub(crate) pins: f64,
    pub(crate) squares: f64,
    /// Pins that there are.
    pub(crate) total: u64,
    /// One folio in so many is in the sample.
    pub(crate) one_in: u64,
}

/// A figure, and half the width of its 95 % confidence interval: 0 where it is exact.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Estimate {
    pub(crate) value: f64,
    pub(crate) error: f64,
}

impl Share {
    /// `count` folios that are alike.
    pub(crate) fn add_times(&mut self, count: u64, figure: f64, pins: f64) {
        let count = count as f64;
        self.add_sums(
            count * figure,
            count * figure * figure,
            count * figure * pins,
        );
    }

    /// Folios whose sums are known.
    pub(crate) fn add_sums(&mut self, sum: f64, squares: f64, products: f64) {
        self.sum += sum;
        self.squares += squares;
        self.products += products;
    }

    /// The figure for all folios: the ratio estimator, with the variance of sampling folios.
    ///
    /// A ratio of a total that is known: never negative, and all groups together are the
    /// whole.
    pub(crate) fn of(&self, whole: &Whole) -> Estimate {
        if whole.one_in == 1 {
            return Estimate {
                value: self.sum,
                error: 0.0,
            };
        }
        if whole.pins == 0.0 {
            return Estimate::default();
        }
        let ratio = self.sum / whole.pins;
        let part = 1.0 / whole.one_in as f64;
        let residuals = self.squares - 2.0 * ratio * self.products + ratio * ratio * whole.squares;
        let deviation = (residuals.max(0.0) * (1.0 - part)).sqrt() / part;
        Estimate {
            value: ratio * whole.total as f64,
            error: DEVIATIONS * deviation,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use probe_abi::stratum;

    const NONE: [u64; STRATA] = [0; STRATA];

    fn none() -> Outside {
        [0; STRATA]
    }

    #[test]
    fn without_sampling_everything_is_complete() {
        let mut sampling = Sampling::default();
        sampling.observe(0, &none(), &NONE);
        assert_eq!(sampling.complete_from(), Some(0));
        assert_eq!(sampling.passed_over(&none()), 0);
    }

    #[test]
    fn what_is_passed_over_is_missing_until_it_is_released() {
        let mut sampling = Sampling::default();
        sampling.observe(0, &none(), &NONE);
        let mut outside = none();
        outside[0] = 500;
        outside[1] = 250;
        sampling.observe(2, &outside, &NONE);
        assert_eq!(sampling.complete_from(), Some(2));
        assert_eq!(sampling.passed_over(&outside), 750);
        // Back to everything, while those pins are held.
        sampling.observe(0, &outside, &NONE);
        assert_eq!(sampling.complete_from(), Some(2));
        assert_eq!(sampling.passed_over(&outside), 750);
        outside[1] = 0;
        sampling.observe(0, &outside, &NONE);
        assert_eq!(sampling.complete_from(), Some(1));
        outside[0] = 0;
        sampling.observe(0, &outside, &NONE);
        assert_eq!(sampling.complete_from(), Some(0));
        assert_eq!(sampling.passed_over(&outside), 0);
    }

    #[test]
    fn releases_of_what_was_passed_over_are_no_releases_of_pins_from_before() {
        let mut sampling = Sampling::default();
        let mut unmatched = NONE;
        unmatched[0] = 5;
        sampling.observe(0, &none(), &unmatched);
        assert_eq!(sampling.unmatched(), 5);
        let mut outside = none();
        outside[0] = 100;
        sampling.observe(1, &outside, &unmatched);
        outside[0] = 40;
        unmatched[0] = 65;
        sampling.observe(0, &outside, &unmatched);
        assert_eq!(sampling.unmatched(), 5);
        outside[0] = 0;
        unmatched[0] = 105;
        sampling.observe(0, &outside, &unmatched);
        assert_eq!(sampling.unmatched(), 5);
        unmatched[0] = 106;
        sampling.observe(0, &none(), &unmatched);
        assert_eq!(sampling.unmatched(), 6);
    }

    #[test]
    fn pins_from_before_the_start_are_not_the_samplings() {
        let mut sampling = Sampling::default();
        let mut outside = none();
        outside[0] = -40;
        sampling.observe(0, &outside, &NONE);
        outside[0] += 100;
        sampling.observe(1, &outside, &NONE);
        assert_eq!(sampling.passed_over(&outside), 100);
        outside[0] -= 100;
        sampling.observe(0, &outside, &NONE);
        assert_eq!(sampling.complete_from(), Some(0));
    }

    #[test]
    fn more_is_kept_only_once_all_would_fit() {
        let mut sampling = Sampling::default();
        sampling.observe(3, &none(), &NONE);
        assert_eq!(sampling.lower(100, 1024), None);
        assert_eq!(sampling.lower(64, 1024), Some(2));
        sampling.observe(0, &none(), &NONE);
        assert_eq!(sampling.lower(0, 1024), None);
    }

    #[test]
    fn an_estimate_is_off_by_more_than_its_error_once_in_twenty() {
        // A group over many populations of folios of mixed sizes, at random: its pins, and
        // the memory that it holds.
        let mut random = 1u64;
        let mut random = move || {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            random >> 33
        };
        let (mut tries, mut outside) = (0, 0);
        for _ in 0..200 {
            let folios: Vec<(u64, f64, f64, bool)> = (0..4096)
                .map(|_| {
                    let pins = if random() % 16 == 0 { 16.0 } else { 1.0 };
                    let bytes = if random() % 8 == 0 { 65536.0 } else { 4096.0 };
                    (
                        random() << 5 | random() & 31,
                        pins,
                        bytes,
                        random() % 10 < 3,
                    )
                })
                .collect();
            let all_pins: f64 = folios.iter().map(|it| it.1).sum();
            let mut whole = Whole {
                total: all_pins as u64,
                one_in: 8,
                ..Whole::default()
            };
            let (mut pins, mut bytes) = (Share::default(), Share::default());
            for (_, held, size, mine) in folios.iter().filter(|it| stratum(it.0) >= 3) {
                whole.pins += held;
                whole.squares += held * held;
                if *mine {
                    pins.add_times(1, *held, *held);
                    bytes.add_times(1, *size, *held);
                }
            }
            let mine = || folios.iter().filter(|it| it.3);
            for (share, truth) in [
                (pins, mine().map(|it| it.1).sum::<f64>()),
                (bytes, mine().map(|it| it.2).sum::<f64>()),
            ] {
                let Estimate { value, error } = share.of(&whole);
                tries += 1;
                outside += i32::from((value - truth).abs() > error);
                assert!(value >= 0.0);
            }
        }
        // 20 expected; 42 would be five standard deviations more.
        assert!(outside <= 42, "{outside} of {tries}");
    }

    #[test]
    fn shares_add_up_to_the_total() {
        let mut whole = Whole {
            total: 12_345,
            one_in: 16,
            ..Whole::default()
        };
        let mut shares = [Share::default(); 3];
        for folio in 0..100 {
            let parts = [f64::from(folio % 3), f64::from(folio % 5), 1.0];
            let all: f64 = parts.iter().sum();
            whole.pins += all;
            whole.squares += all * all;
            for (share, part) in shares.iter_mut().zip(parts) {
                share.add_times(1, part, all);
            }
        }
        let sum: f64 = shares.iter().map(|it| it.of(&whole).value).sum();
        assert!((sum - 12_345.0).abs() < 1e-6, "{sum}");
    }

    #[test]
    fn a_complete_ledger_has_no_error() {
        let mut whole = Whole {
            total: 30,
            one_in: 1,
            ..Whole::default()
        };
        let mut share = Share::default();
        for _ in 0..10 {
            whole.pins += 3.0;
            whole.squares += 9.0;
            share.add_times(1, 1.0, 3.0);
        }
        let exact = Estimate {
            value: 10.0,
            error: 0.0,
        };
        assert_eq!(share.of(&whole), exact);
    }
}
