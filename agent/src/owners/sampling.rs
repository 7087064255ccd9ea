//! When the ledger is full it keeps a sample of folios: which strata of it are
//! complete, when it may keep more again, and what the sample says of the whole.

use probe_abi::STRATA;

/// 1.96 standard deviations: a normal estimate is off by more once in twenty.
const DEVIATIONS: f64 = 1.96;

/// What is known of each stratum.
#[derive(Clone, Debug)]
pub(crate) struct Sampling {
    level: usize,
    /// Pins of the stratum that were not in the ledger before it was last passed
    /// over: not the sampling's.
    base: [i64; STRATA],
    /// Pins that the agent took out of the ledger when a stratum came back.
    swept: [i64; STRATA],
    /// Whether every pin of the stratum is in the ledger.
    complete: [bool; STRATA],
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            level: 0,
            base: [0; STRATA],
            swept: [0; STRATA],
            complete: [true; STRATA],
        }
    }
}

impl Sampling {
    /// Takes note of the level and of what is not in the ledger.
    pub(crate) fn observe(&mut self, level: u64, untracked: &[i64; STRATA]) {
        self.level = level.min(STRATA as u64 - 1) as usize;
        for (stratum, untracked) in untracked.iter().enumerate() {
            let outside = untracked + self.swept[stratum];
            if stratum < self.level {
                self.complete[stratum] = false;
            } else if self.complete[stratum] {
                // Pins from before the start are released; nothing else moves it.
                self.swept[stratum] = 0;
                self.base[stratum] = *untracked;
            } else if outside <= self.base[stratum] {
                self.complete[stratum] = true;
            }
        }
    }

    /// The agent took pins of a stratum out of the ledger.
    pub(crate) fn swept(&mut self, stratum: usize, pages: u64) {
        self.swept[stratum] += pages as i64;
    }

    /// Pages that are pinned and that sampling keeps out of the ledger.
    pub(crate) fn untracked_pages(&self, untracked: &[i64; STRATA]) -> u64 {
        (0..STRATA)
            .filter(|stratum| !self.complete[*stratum])
            .map(|stratum| untracked[stratum] + self.swept[stratum] - self.base[stratum])
            .map(|outside| outside.max(0) as u64)
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

    /// The level to go down to, if all folios that are pinned would now fit.
    pub(crate) fn lower(&self, slots_used: u64, slots: u64) -> Option<usize> {
        let one_in = 1u64 << self.complete_from()?;
        let fits = slots_used.saturating_mul(one_in) <= slots / 2;
        self.level.checked_sub(1).filter(|_| fits)
    }
}

/// How much of a total is one group's, as a sample has it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Share {
    /// The group's part of the sample.
    pub(crate) pages: f64,
    /// Sums over the sample's folios: of the group's pages squared, and of the
    /// group's times all pages of the folio.
    squares: f64,
    products: f64,
}

/// The sample as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Whole {
    pages: f64,
    squares: f64,
}

impl Whole {
    /// One folio of the sample, with all its pins.
    pub(crate) fn add(&mut self, pages: u64) {
        let pages = pages as f64;
        self.pages += pages;
        self.squares += pages * pages;
    }
}

impl Share {
    /// One folio of the sample: the group's pins on it, and all of them.
    pub(crate) fn add(&mut self, mine: u64, all: u64) {
        let (mine, all) = (mine as f64, all as f64);
        self.pages += mine;
        self.squares += mine * mine;
        self.products += mine * all;
    }

    /// The group's pages out of `total`, and how far that may be off: the ratio
    /// estimator, with the variance of sampling folios one in `one_in`.
    ///
    /// A ratio of a total that is known: never negative, and all groups together
    /// are the total.
    pub(crate) fn of(&self, whole: &Whole, total: u64, one_in: u64) -> (f64, f64) {
        if whole.pages == 0.0 {
            return (0.0, 0.0);
        }
        let ratio = self.pages / whole.pages;
        let part = 1.0 / one_in as f64;
        let residuals = self.squares - 2.0 * ratio * self.products + ratio * ratio * whole.squares;
        let deviation = (residuals.max(0.0) * (1.0 - part)).sqrt() / part;
        (ratio * total as f64, DEVIATIONS * deviation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use probe_abi::stratum;

    fn none() -> [i64; STRATA] {
        [0; STRATA]
    }

    #[test]
    fn without_sampling_everything_is_complete() {
        let mut sampling = Sampling::default();
        sampling.observe(0, &none());
        assert_eq!(sampling.complete_from(), Some(0));
        assert_eq!(sampling.untracked_pages(&none()), 0);
    }

    #[test]
    fn what_is_not_tracked_is_missing_until_it_is_released() {
        let mut sampling = Sampling::default();
        sampling.observe(0, &none());
        let mut untracked = none();
        untracked[0] = 500;
        untracked[1] = 250;
        sampling.observe(2, &untracked);
        assert_eq!(sampling.complete_from(), Some(2));
        assert_eq!(sampling.untracked_pages(&untracked), 750);
        // Back to everything, while those pins are held.
        sampling.swept(1, 10);
        sampling.observe(0, &untracked);
        assert_eq!(sampling.complete_from(), Some(2));
        assert_eq!(sampling.untracked_pages(&untracked), 760);
        untracked[1] = -10;
        sampling.observe(0, &untracked);
        assert_eq!(sampling.complete_from(), Some(1));
        untracked[0] = 0;
        sampling.observe(0, &untracked);
        assert_eq!(sampling.complete_from(), Some(0));
        assert_eq!(sampling.untracked_pages(&untracked), 0);
    }

    #[test]
    fn pins_from_before_the_start_are_not_the_samplings() {
        let mut sampling = Sampling::default();
        let mut untracked = none();
        untracked[0] = -40;
        sampling.observe(0, &untracked);
        untracked[0] += 100;
        sampling.observe(1, &untracked);
        assert_eq!(sampling.untracked_pages(&untracked), 100);
        untracked[0] -= 100;
        sampling.observe(0, &untracked);
        assert_eq!(sampling.complete_from(), Some(0));
    }

    #[test]
    fn more_is_kept_only_once_all_would_fit() {
        let mut sampling = Sampling::default();
        sampling.observe(3, &none());
        assert_eq!(sampling.lower(100, 1024), None);
        assert_eq!(sampling.lower(64, 1024), Some(2));
        sampling.observe(0, &none());
        assert_eq!(sampling.lower(0, 1024), None);
    }

    #[test]
    fn an_estimate_is_off_by_more_than_its_error_once_in_twenty() {
        // Two groups over many populations of folios of mixed sizes, at random.
        let mut random = 1u64;
        let mut random = move || {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            random >> 33
        };
        let (mut tries, mut outside) = (0, 0);
        for _ in 0..200 {
            let folios: Vec<(u64, u64, bool)> = (0..4096)
                .map(|_| {
                    let pages = if random() % 16 == 0 { 16 } else { 1 };
                    (random() << 5 | random() & 31, pages, random() % 10 < 3)
                })
                .collect();
            let total: u64 = folios.iter().map(|it| it.1).sum();
            let truth: u64 = folios.iter().filter(|it| it.2).map(|it| it.1).sum();
            let (mut share, mut whole) = (Share::default(), Whole::default());
            for (_, pages, mine) in folios.iter().filter(|it| stratum(it.0) >= 3) {
                whole.add(*pages);
                if *mine {
                    share.add(*pages, *pages);
                }
            }
            let (estimate, error) = share.of(&whole, total, 8);
            tries += 1;
            outside += i32::from((estimate - truth as f64).abs() > error);
            assert!(estimate >= 0.0 && estimate <= total as f64);
        }
        // 10 expected; 25 would be five standard deviations more.
        assert!(outside <= 25, "{outside} of {tries}");
    }

    #[test]
    fn shares_add_up_to_the_total() {
        let mut whole = Whole::default();
        let mut shares = [Share::default(); 3];
        for folio in 0..100u64 {
            let parts = [folio % 3, folio % 5, 1];
            let all = parts.iter().sum();
            whole.add(all);
            for (share, part) in shares.iter_mut().zip(parts) {
                share.add(part, all);
            }
        }
        let sum: f64 = shares.iter().map(|it| it.of(&whole, 12_345, 16).0).sum();
        assert!((sum - 12_345.0).abs() < 1e-6, "{sum}");
    }

    #[test]
    fn a_complete_book_has_no_error() {
        let mut whole = Whole::default();
        let mut share = Share::default();
        for _ in 0..10 {
            whole.add(3);
            share.add(1, 3);
        }
        assert_eq!(share.of(&whole, 30, 1), (10.0, 0.0));
    }
}
