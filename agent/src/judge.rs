//! From samples to verdicts: keeps each folio's pin flags between its walks,
//! asks every estimator, and keeps the score.
//!
//! What is judged how is the `estimator` crate's; here a captured sample becomes
//! its observations. The same code serves a live ring and a recording.

pub(crate) mod errors;
pub(crate) mod heals;
mod observe;
pub(crate) mod race;

use std::collections::HashMap;

use estimator::{Estimator, Flags, Judgement, Missing, Observations, Scoreboard, Seen, judge_all};
use foldhash::fast::RandomState;
use probe_abi::{MkcleanSample, SampleFlags};

use errors::{Answers, Disagreement, Error, Errors};
use heals::Heals;
use race::{Erred, Race, Walks};

/// No judge remembers more folios than this, however large its ledger is.
const MOST_FOLIOS: usize = 1 << 20;

/// The collector's judge.
#[derive(Debug)]
pub struct Judge {
    folios: HashMap<u64, Folio, RandomState>,
    capacity: usize,
    pub(crate) inputs: Inputs,
    pub(crate) losses: Losses,
    pub(crate) scoreboard: Scoreboard,
    pub(crate) errors: Errors,
    pub(crate) heals: Heals,
    pub(crate) walks: Walks,
    pub(crate) judged: u64,
    /// Folios whose flags were forgotten, because there were too many or because
    /// samples were lost.
    pub(crate) forgotten: u64,
    /// Whether a folio that is not remembered may have been walked before.
    forgot: bool,
}

/// Which inputs the attached hooks can give; what they cannot is unknown,
/// whatever a sample says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Inputs {
    /// The entries that a walk finds are counted.
    pub ptes: bool,
    /// Mapcount decrements by zaps are counted.
    pub zaps: bool,
}

/// What is remembered of a folio from one walk to the next.
#[derive(Clone, Copy, Debug)]
struct Folio {
    flags: Flags,
    /// A frame is used again: another file's page there is another folio.
    mapping: u64,
    index: u64,
    gups: u32,
    erred: Erred,
    /// Whether an estimator wrongly said "pinned", and no walk has ended that.
    open: bool,
}

/// What was lost since the agent started, as far as it touches verdicts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Samples that never came: flags may be out of date.
    pub samples: u64,
    /// Pages that the ledger should hold and does not.
    pub pages: u64,
}

impl Judge {
    /// A judge that remembers about as many folios as the ledger holds.
    #[must_use]
    pub fn new(capacity: usize, inputs: Inputs) -> Self {
        let capacity = capacity.clamp(1, MOST_FOLIOS);
        Self {
            folios: HashMap::default(),
            capacity,
            inputs,
            losses: Losses::default(),
            scoreboard: Scoreboard::EMPTY,
            errors: Errors::default(),
            heals: Heals::new(capacity),
            walks: Walks::new(inputs),
            judged: 0,
            forgotten: 0,
            forgot: false,
        }
    }

    /// Samples judged so far.
    #[must_use]
    pub fn judged(&self) -> u64 {
        self.judged
    }

    /// Takes note of what was lost so far, before the samples that came after.
    pub fn lose(&mut self, losses: Losses) {
        if losses.samples > self.losses.samples {
            self.forget_all();
            self.heals.forget_all();
        }
        self.losses = losses;
    }

    /// Judges one walk.
    pub fn judge(&mut self, sample: &MkcleanSample) -> [Judgement; Estimator::COUNT] {
        let known = self
            .folios
            .get(&sample.folio)
            .copied()
            .filter(|it| it.mapping == sample.mapping && it.index == sample.index);
        let (flags, guped_since) = self.before(sample, known);
        let seen = observe::observations(sample, self.inputs, guped_since, self.losses);
        let (judged, flags_after) = judge_all(flags, &seen);
        self.scoreboard.record(&judged);
        self.walks.note(sample);
        let answers = Answers::of(&judged);
        let guped = guped_since != Ok(false) || race::gups(sample) > 0;
        let open_before = known.map(|it| it.open);
        let open = self.heals.note(sample, &answers, guped, open_before);
        let mut erred = Erred::default();
        if answers.any_wrong {
            let before = match known {
                Some(folio) if guped_since == Ok(false) => folio.erred,
                Some(_) | None => Erred::default(),
            };
            erred = self.note_errors(sample, &answers, before, (seen, flags));
        }
        self.judged += 1;
        if sample.has(SampleFlags::SETTLES) || !sample.has(SampleFlags::GUPED) {
            self.folios.remove(&sample.folio);
        } else {
            self.remember(sample, flags_after, erred, open);
        }
        judged
    }

    #[cold]
    fn note_errors(
        &mut self,
        sample: &MkcleanSample,
        answers: &Answers,
        before: Erred,
        (seen, flags): (Observations, Flags),
    ) -> Erred {
        let mut erred = Erred::default();
        for estimator in Estimator::ALL {
            let Some(error) = answers.error(estimator) else {
                continue;
            };
            if error == Error::FalseNegative {
                erred.add(estimator);
            }
            let walk = Disagreement {
                number: self.judged,
                sample: *sample,
                seen,
                flags,
                race: Race::of(estimator, sample, answers, before.before(estimator)),
            };
            self.errors.note(estimator, error, walk);
        }
        erred
    }

    /// The flags before the walk, and whether a GUP came since they were left so.
    fn before(&self, sample: &MkcleanSample, known: Option<Folio>) -> (Flags, Seen<bool>) {
        let in_book = sample.has(SampleFlags::GUPED);
        match known {
            Some(folio) => (folio.flags, Ok(folio.gups != sample.gups_entry)),
            // A walk that was lost may have cleared what its GUP had set. Before
            // the book's first GUP there was nothing to clear.
            None if self.forgot && in_book && sample.gups_entry > 0 => {
                (Flags::UNKNOWN, Err(Missing::Lost))
            }
            None => (Flags::CLEAR, Ok(in_book)),
        }
    }

    /// After lost samples no stored flag is certain.
    fn forget_all(&mut self) {
        self.forgotten += self.folios.len() as u64;
        self.folios.clear();
        self.forgot = true;
    }

    fn remember(&mut self, sample: &MkcleanSample, flags: Flags, erred: Erred, open: bool) {
        let folio = Folio {
            flags,
            mapping: sample.mapping,
            index: sample.index,
            gups: sample.gups_entry.wrapping_add(sample.gups),
            erred,
            open,
        };
        if let Some(known) = self.folios.get_mut(&sample.folio) {
            *known = folio;
            return;
        }
        if self.folios.len() >= self.capacity {
            self.forget_all();
        }
        self.folios.insert(sample.folio, folio);
    }
}

#[cfg(test)]
mod tests {
    use estimator::Outcome;

    use super::*;

    const INPUTS: Inputs = Inputs {
        ptes: true,
        zaps: true,
    };

    /// One small file folio, mapped once, nothing pinned, walked cleanly.
    fn quiet() -> MkcleanSample {
        MkcleanSample {
            folio: 0xffff_ea00_0000_1000,
            mapping: 0xffff_8880_0000_1000,
            mapcount_entry: 1,
            mapcount_exit: 1,
            ptes_found: 1,
            refcount: 3,
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

    fn pinned() -> MkcleanSample {
        MkcleanSample {
            pins_entry: 1,
            pins_exit: 1,
            refcount: 3 + 1024,
            gups_entry: 1,
            ..quiet()
        }
    }

    fn check(samples: &[MkcleanSample], estimator: Estimator, expected: &[Outcome]) {
        let mut judge = Judge::new(16, INPUTS);
        let outcomes: Vec<Outcome> = samples
            .iter()
            .map(|it| judge.judge(it)[estimator as usize].verdict.outcome())
            .collect();
        assert_eq!(outcomes, expected, "{}", estimator.name());
    }

    #[test]
    fn a_pin_held_across_walks_is_seen_by_every_estimator_each_time() {
        for estimator in [Estimator::TwoWalk, Estimator::Kernel, Estimator::Ledger] {
            check(&[pinned(), pinned()], estimator, &[Outcome::Pinned; 2]);
        }
    }

    #[test]
    fn a_released_pin_is_not_pinned_at_the_next_walk() {
        check(
            &[pinned(), quiet()],
            Estimator::TwoWalk,
            &[Outcome::Pinned, Outcome::NotPinned],
        );
    }

    #[test]
    fn without_the_hook_that_counts_entries_two_walk_is_uncertain() {
        let mut judge = Judge::new(
            16,
            Inputs {
                ptes: false,
                zaps: true,
            },
        );
        let judged = judge.judge(&pinned());
        let outcome = |it: Estimator| judged[it as usize].verdict.outcome();
        assert_eq!(outcome(Estimator::TwoWalk), Outcome::Uncertain);
        assert_eq!(outcome(Estimator::Kernel), Outcome::Pinned);
    }

    #[test]
    fn more_plain_references_than_the_count_has_room_for_are_uncertain() {
        let stale = MkcleanSample {
            gets_entry: 5,
            gets_exit: 5,
            gups_entry: 5,
            ..quiet()
        };
        check(&[stale], Estimator::TwoWalk, &[Outcome::Uncertain]);
    }

    #[test]
    fn another_file_in_the_same_frame_starts_with_a_clear_flag() {
        let mut judge = Judge::new(16, INPUTS);
        judge.judge(&pinned());
        let other = MkcleanSample {
            mapping: 0xffff_8880_0000_2000,
            flags: quiet().flags & !SampleFlags::GUPED,
            mapcount_entry: 2,
            mapcount_exit: 2,
            ..quiet()
        };
        let judged = judge.judge(&other);
        let two_walk = judged[Estimator::TwoWalk as usize].verdict.outcome();
        assert_eq!(two_walk, Outcome::NotPinned);
    }

    #[test]
    fn memory_for_flags_is_bounded() {
        let mut judge = Judge::new(16, INPUTS);
        for folio in 0..1000 {
            judge.judge(&MkcleanSample {
                folio: folio * 64,
                ..pinned()
            });
        }
        assert!(judge.folios.len() <= 16);
        assert!(judge.forgotten > 0);
    }

    #[test]
    fn after_lost_samples_a_flag_is_in_doubt_until_a_walk_settles_it() {
        let mut judge = Judge::new(16, INPUTS);
        judge.judge(&pinned());
        judge.lose(Losses {
            samples: 1,
            pages: 0,
        });
        let outcome = |judged: [Judgement; Estimator::COUNT]| {
            judged[Estimator::TwoWalk as usize].verdict.outcome()
        };
        assert_eq!(outcome(judge.judge(&pinned())), Outcome::Uncertain);
        let free = MkcleanSample {
            gups_entry: 1,
            ..quiet()
        };
        assert_eq!(outcome(judge.judge(&free)), Outcome::NotPinned);
        let again = MkcleanSample {
            gups_entry: 2,
            ..pinned()
        };
        assert_eq!(outcome(judge.judge(&again)), Outcome::Pinned);
    }

    #[test]
    fn a_false_negative_by_a_zap_is_put_down_to_it_and_the_next_one_to_the_flag_lost_then() {
        let zapped = MkcleanSample {
            mapcount_exit: 0,
            zaps: 1,
            ..pinned()
        };
        let unmapped = MkcleanSample {
            mapcount_entry: 1,
            ptes_found: 1,
            ..pinned()
        };
        let mut judge = Judge::new(16, INPUTS);
        judge.judge(&zapped);
        judge.judge(&unmapped);
        let count = |race| {
            judge
                .errors
                .count(Estimator::TwoWalk, Error::FalseNegative, race)
        };
        assert_eq!((count(Race::Zap), count(Race::Again)), (1, 1));
    }

    #[test]
    fn the_age_of_a_false_positive_ends_with_the_walk_that_heals_it() {
        // Found fewer entries than the count, with nothing pinned any more.
        let false_positive = MkcleanSample {
            at_ns: 5,
            mapcount_entry: 2,
            mapcount_exit: 2,
            gups_entry: 1,
            ..quiet()
        };
        let healed = MkcleanSample {
            at_ns: 2_000_005,
            gups_entry: 1,
            ..quiet()
        };
        let mut judge = Judge::new(16, INPUTS);
        judge.judge(&false_positive);
        assert_eq!(judge.heals.of(Estimator::TwoWalk).open, 1);
        judge.judge(&healed);
        let ended = judge.heals.of(Estimator::TwoWalk);
        assert_eq!((ended.open, ended.healed.count()), (0, 1));
        assert_eq!(ended.healed.sum_seconds(), 0.002);
    }

    #[test]
    fn a_reference_counted_before_its_gup_is_noted_sets_the_flag_that_ordered_took() {
        let sample = MkcleanSample {
            gups: 0,
            pins_entry: 0,
            gups_entry: 1,
            ..pinned()
        };
        check(&[sample], Estimator::Ordered, &[Outcome::Pinned]);
    }
}
