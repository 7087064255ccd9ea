//! What the estimators answered at one walk, held against what was true.
//!
//! A folio is *held* where the kernel or the ledger says so, and *free* where
//! both say that it is not: the kernel cannot see plain references, the ledger
//! not a GUP on its way. Where one of them is uncertain and the other does not
//! say "pinned", no verdict is called wrong.

use estimator::{Estimator, Judgement, Outcome};

/// A kind of wrong verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WrongVerdict {
    /// "Pinned", and it was free.
    FalsePositive,
    /// "Not pinned", and it was held.
    FalseNegative,
}

/// The answers of one walk, and what was true.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answers {
    verdicts: [Outcome; Estimator::COUNT],
    /// Whether somebody holds the folio, if that is known.
    pub(crate) held: Option<bool>,
    /// Whether any verdict is wrong: most walks need no closer look.
    pub(crate) any_wrong: bool,
}

impl WrongVerdict {
    /// How many there are.
    pub const COUNT: usize = 2;
    /// In order.
    pub const ALL: [Self; Self::COUNT] = [Self::FalsePositive, Self::FalseNegative];

    /// In metrics and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FalsePositive => "false_positive",
            Self::FalseNegative => "false_negative",
        }
    }
}

impl Answers {
    pub(crate) fn of(judged: &[Judgement; Estimator::COUNT]) -> Self {
        let verdicts = judged.map(|it| it.verdict.outcome());
        let kernel = verdicts[Estimator::Kernel as usize];
        let ledger = verdicts[Estimator::Ledger as usize];
        let held = match (kernel, ledger) {
            (Outcome::Pinned, _) | (_, Outcome::Pinned) => Some(true),
            (Outcome::NotPinned, Outcome::NotPinned) => Some(false),
            (Outcome::Uncertain, _) | (_, Outcome::Uncertain) => None,
        };
        let any_wrong = match held {
            Some(true) => verdicts.contains(&Outcome::NotPinned),
            Some(false) => verdicts.contains(&Outcome::Pinned),
            None => false,
        };
        Self {
            verdicts,
            held,
            any_wrong,
        }
    }

    pub(crate) fn of_one(&self, estimator: Estimator) -> Outcome {
        self.verdicts[estimator as usize]
    }

    pub(crate) fn error(&self, estimator: Estimator) -> Option<WrongVerdict> {
        match (self.of_one(estimator), self.held) {
            (Outcome::Pinned, Some(false)) => Some(WrongVerdict::FalsePositive),
            (Outcome::NotPinned, Some(true)) => Some(WrongVerdict::FalseNegative),
            (Outcome::Pinned | Outcome::NotPinned | Outcome::Uncertain, _) => None,
        }
    }
}
