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
pub use heals::Ended;
use heals::Heals;
pub use inputs::{Inputs, Losses};
pub use observe::{contradicts, lacks_pins};
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
    forgotten: u64,
    forgot: Forgot,
    /// The latest that any folio walked so far was GUPed first, see [`probe_abi::opened_at`].
    latest_opened: u32,
}

/// What a judge has found so far.
#[derive(Clone, Debug)]
pub struct Findings {
    /// Which inputs it believes.
    pub inputs: Inputs,
    /// What was lost, as it was last told.
    pub losses: Losses,
    /// How often each estimator was right.
    pub scoreboard: Scoreboard,
    /// Wrong verdicts, by what raced.
    pub errors: Errors,
    /// The walks judged.
    pub walks: Walks,
    /// Samples judged.
    pub judged: u64,
    /// Folios whose flags were forgotten, because there were too many or because
    /// samples were lost.
    pub forgotten: u64,
    ended: [Ended; Estimator::COUNT],
}

impl Findings {
    /// How an estimator's false positives ended.
    #[must_use]
    pub fn ended(&self, estimator: Estimator) -> &Ended {
        &self.ended[estimator as usize]
    }
}

/// Which folios that are not remembered may have been walked before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Forgot {
    None,
    /// Those that the ledger has known since then, see [`probe_abi::opened_at`], or longer.
    Until(u32),
    All,
}

impl Forgot {
    /// Whether it may have been one that the ledger has known since `opened`.
    fn includes(self, opened: u32) -> bool {
        match self {
            Self::None => false,
            Self::Until(until) => opened == 0 || !is_after(opened, until),
            Self::All => true,
        }
    }

    /// Nothing is remembered of what was known until then.
    fn add(&mut self, until: u32) {
        *self = match *self {
            Self::All => Self::All,
            _ if until == 0 => Self::All,
            Self::Until(before) if is_after(before, until) => Self::Until(before),
            Self::None | Self::Until(_) => Self::Until(until),
        };
    }
}

/// Of two times of [`probe_abi::opened_at`], which wraps.
fn is_after(one: u32, other: u32) -> bool {
    one.wrapping_sub(other).cast_signed() > 0
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
            forgot: Forgot::None,
            latest_opened: 0,
        }
    }

    /// Samples judged so far.
    #[must_use]
    pub fn judged(&self) -> u64 {
        self.judged
    }

    /// What was lost, as it was last told.
    #[must_use]
    pub fn losses(&self) -> Losses {
        self.losses
    }

    /// All that was found so far.
    #[must_use]
    pub fn findings(&self) -> Findings {
        Findings {
            inputs: self.inputs,
            losses: self.losses,
            scoreboard: self.scoreboard.clone(),
            errors: self.errors.clone(),
            walks: self.walks.clone(),
            judged: self.judged,
            forgotten: self.forgotten,
            ended: self.heals.ended().clone(),
        }
    }

    /// Takes note of what was lost so far, before the samples that came after.
    pub fn lose(&mut self, losses: Losses) {
        if losses.samples > self.losses.samples || losses.pauses > self.losses.pauses {
            self.forget_all(losses.at);
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
        if self.latest_opened == 0 || is_after(sample.opened, self.latest_opened) {
            self.latest_opened = sample.opened;
        }
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
            None if in_book && sample.gups_entry > 0 && self.forgot.includes(sample.opened) => {
                (Flags::UNKNOWN, Err(Missing::Lost))
            }
            None => (Flags::CLEAR, Ok(in_book)),
        }
    }

    /// No stored flag of a folio that was known until then is certain.
    fn forget_all(&mut self, until: u32) {
        self.forgotten += self.folios.len() as u64;
        self.folios.clear();
        self.forgot.add(until);
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
            self.forget_all(self.latest_opened);
        }
        self.folios.insert(sample.folio, folio);
    }
}

#[cfg(test)]
mod tests;
