//! From samples to verdicts: keeps each folio's pin flags between its walks,
//! asks every estimator, and keeps the score.
//!
//! What is judged how is the `estimator` crate's; here a captured sample becomes
//! its observations. The same code serves a live ring and a recording.

mod answers;
mod errors;
mod heals;
mod inputs;
mod observe;
mod race;

use std::collections::HashMap;

use estimator::{Estimator, Flags, Judgement, Missing, Observations, Scoreboard, Seen, judge_all};
use foldhash::fast::RandomState;
use probe_abi::{MkcleanSample, SampleFlags};

use answers::Answers;
pub use answers::WrongVerdict;
pub use errors::{Disagreement, Errors};
pub use heals::{Ended, Heals};
pub use inputs::{Inputs, Losses};
use race::Erred;
pub use race::{Race, Walks};

/// No judge remembers more folios than this, however large its ledger is.
const MOST_FOLIOS: usize = 1 << 20;

/// The collector's judge.
#[derive(Debug)]
pub struct Judge {
    folios: HashMap<u64, Folio, RandomState>,
    capacity: usize,
    inputs: Inputs,
    losses: Losses,
    scoreboard: Scoreboard,
    errors: Errors,
    heals: Heals,
    walks: Walks,
    judged: u64,
    /// Folios whose flags were forgotten, because there were too many or because
    /// samples were lost.
    forgotten: u64,
    /// Whether a folio that is not remembered may have been walked before.
    forgot: bool,
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

    /// Which inputs it believes.
    #[must_use]
    pub fn inputs(&self) -> Inputs {
        self.inputs
    }

    /// What was lost, as it was last told.
    #[must_use]
    pub fn losses(&self) -> Losses {
        self.losses
    }

    /// Folios whose flags were forgotten, because there were too many or because
    /// samples were lost.
    #[must_use]
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// How often each estimator was right.
    #[must_use]
    pub fn scoreboard(&self) -> &Scoreboard {
        &self.scoreboard
    }

    /// Wrong verdicts, by what raced.
    #[must_use]
    pub fn errors(&self) -> &Errors {
        &self.errors
    }

    /// How false positives ended.
    #[must_use]
    pub fn heals(&self) -> &Heals {
        &self.heals
    }

    /// The walks judged.
    #[must_use]
    pub fn walks(&self) -> &Walks {
        &self.walks
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
            if error == WrongVerdict::FalseNegative {
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
mod tests;
