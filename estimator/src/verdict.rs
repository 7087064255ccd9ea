//! What an estimator can say, and why it may not know.
//!
//! There is no probability here: an estimator knows, or says what it was not shown.

/// An observation, or the reason why there is none.
pub type Seen<T> = Result<T, Missing>;

/// Why an observation is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Missing {
    /// Nobody captured it; the value that a fresh sample starts with.
    NotCaptured,
    /// No hook on this kernel sees it.
    NoHook,
    /// An event that would have told it was lost.
    Lost,
    /// The kernel's memory could not be read.
    Unreadable,
    /// The ledger does not have this folio: it is passed over, or was pinned before the agent started.
    NotInLedger,
}

impl Missing {
    /// Every reason.
    pub const ALL: [Self; 5] = [
        Self::NotCaptured,
        Self::NoHook,
        Self::Lost,
        Self::Unreadable,
        Self::NotInLedger,
    ];

    /// The stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotCaptured => "not_captured",
            Self::NoHook => "no_hook",
            Self::Lost => "lost",
            Self::Unreadable => "unreadable",
            Self::NotInLedger => "not_in_ledger",
        }
    }
}

/// Why an estimator gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Doubt {
    /// An observation that decides is unknown.
    Unseen(Missing),
    /// The walk found more entries than the count read before it: the page lock forbids new mappings, so one of the
    /// two was not what it claims. The mail has a `VM_BUG_ON` here.
    Contradiction,
    /// Races were seen, and their order, which decides, was not.
    Ambiguous,
    /// The driver answered another question than the one that was asked.
    Misanswered,
}

impl Doubt {
    /// How many there are.
    pub const COUNT: usize = 8;

    /// Every doubt.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Unseen(Missing::NotCaptured),
        Self::Unseen(Missing::NoHook),
        Self::Unseen(Missing::Lost),
        Self::Unseen(Missing::Unreadable),
        Self::Unseen(Missing::NotInLedger),
        Self::Contradiction,
        Self::Ambiguous,
        Self::Misanswered,
    ];

    /// Its place in [`Self::ALL`].
    pub(crate) const fn index(self) -> usize {
        match self {
            Self::Unseen(missing) => missing as usize,
            Self::Contradiction => 5,
            Self::Ambiguous => 6,
            Self::Misanswered => 7,
        }
    }

    /// The stable name; that of the missing observation's reason where one is missing.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unseen(missing) => missing.name(),
            Self::Contradiction => "contradiction",
            Self::Ambiguous => "ambiguous",
            Self::Misanswered => "misanswered",
        }
    }
}

/// What an estimator says of a page at one walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Somebody holds the page.
    Pinned,
    /// Nobody holds the page.
    NotPinned,
    /// Not known, with the reason.
    Uncertain(Doubt),
}

impl Verdict {
    /// The verdict without the reason of its doubt.
    #[must_use]
    pub const fn outcome(self) -> Outcome {
        match self {
            Self::Pinned => Outcome::Pinned,
            Self::NotPinned => Outcome::NotPinned,
            Self::Uncertain(_) => Outcome::Uncertain,
        }
    }
}

/// A verdict without its reason: the axis of a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Outcome {
    /// See [`Verdict::Pinned`].
    Pinned,
    /// See [`Verdict::NotPinned`].
    NotPinned,
    /// See [`Verdict::Uncertain`].
    Uncertain,
}

impl Outcome {
    /// How many there are.
    pub const COUNT: usize = 3;

    /// Every outcome; `ALL[i] as usize == i`.
    pub const ALL: [Self; Self::COUNT] = [Self::Pinned, Self::NotPinned, Self::Uncertain];

    /// The stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pinned => "pinned",
            Self::NotPinned => "not_pinned",
            Self::Uncertain => "uncertain",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_doubt_stands_at_its_index() {
        for (index, doubt) in Doubt::ALL.into_iter().enumerate() {
            assert_eq!(doubt.index(), index, "{}", doubt.name());
        }
    }
}
