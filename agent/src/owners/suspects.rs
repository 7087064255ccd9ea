//! Which owners look as if they had forgotten what they pinned.

use std::{collections::HashMap, iter, time::Duration};

use serde::Serialize;

use super::processes::ProcessId;

/// Why an owner is suspected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reason {
    /// Its process has ended, and the kernel still holds its pins, and they do not get fewer.
    OwnerDead,
    /// It has held a folio for longer than the operator finds usual.
    Old,
    /// It grows steadily: in each of the last few windows it had at no moment as few pins as at
    /// some moment of the one before, be they minutes, or longer for what grows by bursts.
    Grows,
}

impl Reason {
    pub(crate) const ALL: [Self; 3] = [Self::OwnerDead, Self::Old, Self::Grows];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::OwnerDead => "owner_dead",
            Self::Old => "old",
            Self::Grows => "grows",
        }
    }
}

/// The pins of a process that ends are released a moment later, in a worker.
const DEAD_FOR: Duration = Duration::from_secs(3);

/// Lengths of the windows of growth, and how many of one length have to grow in a row.
const WINDOWS: [Duration; 3] = [
    Duration::from_secs(60),
    Duration::from_secs(600),
    Duration::from_secs(3600),
];
const IN_A_ROW: u32 = 5;

/// What is known of an owner now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Present {
    pub(crate) pins: u64,
    /// Of those, the ones that are no guess.
    pub(crate) sure: u64,
    /// Age of its oldest pin.
    pub(crate) oldest: Duration,
    /// Its process, if that has ended, or was told to.
    pub(crate) ending: Option<ProcessId>,
    /// Whether its process has ended, and its pins were found in the kernel since.
    pub(crate) is_dead: bool,
}

/// What is remembered of each owner.
#[derive(Debug)]
pub(crate) struct Suspects {
    old_after: Duration,
    owners: HashMap<u32, History>,
    /// Of processes that end.
    falls: HashMap<ProcessId, Fall>,
}

#[derive(Debug)]
struct History {
    dead_since: Option<Duration>,
    /// By windows of each length.
    growth: [Growth; WINDOWS.len()],
    reasons: Vec<Reason>,
}

/// Growth, by windows of one length.
#[derive(Clone, Copy, Debug)]
struct Growth {
    window_since: Duration,
    /// Fewest pins in this window, and in the one before.
    fewest: u64,
    fewest_before: u64,
    /// Windows in a row that grew.
    grown: u32,
}

/// How the pins of a process that ends get fewer.
#[derive(Clone, Copy, Debug)]
struct Fall {
    /// The last look, and what it found.
    looked: Duration,
    pins: u64,
    /// While they fall: since when, from how many, and when they last did.
    now: Option<(Duration, u64, Duration)>,
}

impl Fall {
    fn begin(now: Duration, pins: u64) -> Self {
        Self {
            looked: now,
            pins,
            now: None,
        }
    }

    fn observe(&mut self, now: Duration, pins: u64) {
        if pins < self.pins {
            let (since, from, _) = self.now.unwrap_or((self.looked, self.pins, now));
            self.now = Some((since, from, now));
        } else if let Some((.., last)) = self.now
            && now.saturating_sub(last) >= DEAD_FOR
        {
            self.now = None;
        }
        (self.looked, self.pins) = (now, pins);
    }

    /// Pins a second.
    fn speed(&self) -> Option<f64> {
        let (since, from, _) = self.now?;
        let took = self.looked.saturating_sub(since).as_secs_f64();
        (took > 0.0).then(|| from.saturating_sub(self.pins) as f64 / took)
    }
}

impl Growth {
    fn begin(now: Duration, pins: u64) -> Self {
        Self {
            window_since: now,
            fewest: pins,
            fewest_before: pins,
            grown: 0,
        }
    }

    fn observe(&mut self, now: Duration, pins: u64, window: Duration) {
        self.fewest = self.fewest.min(pins);
        if now.saturating_sub(self.window_since) < window {
            return;
        }
        let grew = self.fewest > self.fewest_before;
        self.grown = if grew { self.grown + 1 } else { 0 };
        self.fewest_before = self.fewest;
        self.fewest = pins;
        self.window_since = now;
    }
}

impl Suspects {
    /// Pins count as old after `old_after`.
    pub(crate) fn new(old_after: Duration) -> Self {
        Self {
            old_after,
            owners: HashMap::new(),
            falls: HashMap::new(),
        }
    }

    /// From now on pins count as old after this.
    pub(crate) fn adjust(&mut self, old_after: Duration) {
        self.old_after = old_after;
    }

    /// Takes note of every owner that has pins at `now`, of the time awake; the others are
    /// forgotten. Whether anybody is suspected or releasing, or no longer is, who was not before.
    pub(crate) fn observe(&mut self, now: Duration, owners: &HashMap<u32, Present>) -> bool {
        let before: usize = self.owners.len();
        self.owners.retain(|owner, _| owners.contains_key(owner));
        let mut is_changed = self.owners.len() != before;
        is_changed |= self.observe_falls(now, owners);
        for (owner, present) in owners {
            let history = self.owners.entry(*owner).or_insert_with(|| History {
                dead_since: None,
                growth: [Growth::begin(now, present.pins); WINDOWS.len()],
                reasons: Vec::new(),
            });
            let reasons = history.reasons.clone();
            let process = present.ending;
            let fall = process.and_then(|it| self.falls.get(&it));
            let falls = fall.is_some_and(|it| it.now.is_some());
            history.observe(now, present, self.old_after, falls);
            is_changed |= history.reasons != reasons;
        }
        is_changed
    }

    /// Why an owner is suspected; empty if it is not.
    pub(crate) fn of(&self, owner: u32) -> &[Reason] {
        self.owners
            .get(&owner)
            .map_or(&[], |history| history.reasons.as_slice())
    }

    /// By process: each of its rings is an owner. Whether one begins to release, or no longer does.
    fn observe_falls(&mut self, now: Duration, owners: &HashMap<u32, Present>) -> bool {
        let mut pins: HashMap<ProcessId, u64> = HashMap::new();
        for present in owners.values() {
            if let Some(process) = present.ending {
                *pins.entry(process).or_default() += present.pins;
            }
        }
        self.falls.retain(|process, _| pins.contains_key(process));
        let mut is_changed = false;
        for (process, pins) in pins {
            let fall = self.falls.entry(process);
            let fall = fall.or_insert_with(|| Fall::begin(now, pins));
            let fell = fall.now.is_some();
            fall.observe(now, pins);
            is_changed |= fall.now.is_some() != fell;
        }
        is_changed
    }

    /// How many pins a second a process releases that ends; `None` of one that does not.
    pub(crate) fn releases(&self, process: ProcessId) -> Option<f64> {
        self.falls.get(&process)?.speed()
    }

    /// Owners suspected for a reason.
    pub(crate) fn count(&self, reason: Reason) -> usize {
        self.owners
            .values()
            .filter(|it| it.reasons.contains(&reason))
            .count()
    }
}

impl History {
    fn observe(&mut self, now: Duration, present: &Present, old_after: Duration, falls: bool) {
        // Whose pins it may not have is not accused.
        let is_dead = present.is_dead && present.sure > 0;
        self.dead_since = match (is_dead, self.dead_since) {
            (false, _) => None,
            (true, None) => Some(now),
            (true, since) => since,
        };
        for (growth, window) in iter::zip(&mut self.growth, WINDOWS) {
            growth.observe(now, present.pins, window);
        }
        let dead = !falls
            && self
                .dead_since
                .is_some_and(|since| now.saturating_sub(since) >= DEAD_FOR);
        self.reasons.clear();
        for (reason, holds) in [
            (Reason::OwnerDead, dead),
            (Reason::Old, present.oldest >= old_after),
            (
                Reason::Grows,
                self.growth.iter().any(|it| it.grown >= IN_A_ROW),
            ),
        ] {
            if holds {
                self.reasons.push(reason);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROCESS: ProcessId = ProcessId {
        tgid: 70,
        start_ns: 700,
    };

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn present(pins: u64, oldest: u64, lives: bool) -> HashMap<u32, Present> {
        HashMap::from([(
            7,
            Present {
                pins,
                sure: pins,
                oldest: seconds(oldest),
                ending: (!lives).then_some(PROCESS),
                is_dead: !lives,
            },
        )])
    }

    #[test]
    fn a_dead_owner_is_suspected_after_a_moment() {
        let mut suspects = Suspects::new(seconds(600));
        suspects.observe(seconds(1), &present(64, 1, true));
        suspects.observe(seconds(2), &present(64, 2, false));
        assert!(suspects.of(7).is_empty());
        suspects.observe(seconds(5), &present(64, 5, false));
        assert_eq!(suspects.of(7), [Reason::OwnerDead]);
        suspects.observe(seconds(6), &HashMap::new());
        assert!(suspects.of(7).is_empty());
    }

    #[test]
    fn a_dead_owner_of_which_all_is_a_guess_is_no_suspect() {
        let mut suspects = Suspects::new(seconds(600));
        let mut guessed = present(64, 1, false);
        for present in guessed.values_mut() {
            present.sure = 0;
        }
        for now in 1..10 {
            suspects.observe(seconds(now), &guessed);
            assert!(suspects.of(7).is_empty());
        }
    }

    #[test]
    fn a_dead_owner_is_no_suspect_while_its_pins_are_released() {
        let mut suspects = Suspects::new(seconds(100_000));
        let (mut now, mut left) = (0, 0);
        // A terabyte in huge pages, a hundred a second, with breaks of two seconds.
        for pins in (1_000..524_288_u64).rev().step_by(100) {
            now += if pins % 7 == 0 { 2 } else { 1 };
            suspects.observe(seconds(now), &present(pins, 1, false));
            assert!(suspects.of(7).is_empty(), "with {pins}");
            left = pins;
        }
        let speed = suspects.releases(PROCESS).unwrap();
        assert!((80.0..100.0).contains(&speed), "{speed}");
        // What is left then is not released.
        suspects.observe(seconds(now + 2), &present(left, 1, false));
        assert!(suspects.of(7).is_empty());
        assert!(suspects.observe(seconds(now + 3), &present(left, 1, false)));
        assert_eq!(suspects.of(7), [Reason::OwnerDead]);
        assert_eq!(suspects.releases(PROCESS), None);
    }

    #[test]
    fn a_living_owner_that_releases_is_not_told_apart() {
        let mut suspects = Suspects::new(seconds(100_000));
        for second in 0..10 {
            suspects.observe(seconds(second), &present(100 - second, 1, true));
        }
        assert_eq!(suspects.releases(PROCESS), None);
    }

    #[test]
    fn old_pins_are_suspected() {
        let mut suspects = Suspects::new(seconds(600));
        suspects.observe(seconds(700), &present(64, 599, true));
        assert!(suspects.of(7).is_empty());
        suspects.observe(seconds(701), &present(64, 600, true));
        assert_eq!(suspects.of(7), [Reason::Old]);
        assert_eq!(suspects.count(Reason::Old), 1);
    }

    #[test]
    fn pins_that_only_grow_are_suspected() {
        let mut suspects = Suspects::new(seconds(100_000));
        for minute in 0..8 {
            suspects.observe(seconds(60 * minute), &present(10 + minute, 1, true));
        }
        assert_eq!(suspects.of(7), [Reason::Grows]);
        // One moment with fewer than were held before ends it.
        suspects.observe(seconds(60 * 8 - 1), &present(1, 1, true));
        suspects.observe(seconds(60 * 8), &present(100, 1, true));
        assert!(suspects.of(7).is_empty());
    }

    #[test]
    fn pins_that_grow_by_bursts_are_suspected_within_the_hour() {
        let mut suspects = Suspects::new(seconds(100_000));
        let mut since = None;
        for second in 0..4_000 {
            // 1 MiB more every two minutes, and nothing between.
            let pages = 256 * (1 + second / 120);
            suspects.observe(seconds(second), &present(pages, 1, true));
            if !suspects.of(7).is_empty() {
                since.get_or_insert(second);
            }
        }
        assert_eq!(since, Some(3_600));
        assert_eq!(suspects.of(7), [Reason::Grows]);
    }

    #[test]
    fn pins_that_grew_once_are_not() {
        let mut suspects = Suspects::new(seconds(1_000_000));
        for minute in 0..3_000 {
            let pages = if minute < 30 { 256 * minute } else { 256 * 30 };
            suspects.observe(seconds(60 * minute), &present(pages, 1, true));
        }
        assert!(suspects.of(7).is_empty());
    }

    #[test]
    fn pins_that_come_and_go_are_not() {
        let mut suspects = Suspects::new(seconds(100_000));
        for second in 0..3_600 {
            let pages = 1_000 + (second * 37) % 100;
            suspects.observe(seconds(second), &present(pages, 1, true));
        }
        assert!(suspects.of(7).is_empty());
    }
}
