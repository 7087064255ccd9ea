//! What can be found at a verdict, and by what it was caused.

/// What moved while a mkclean was under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Raced {
    /// A step of a zap.
    pub zap: bool,
    /// A step of a GUP.
    pub gup: bool,
    /// A release.
    pub put: bool,
}

/// How a verdict stands to the page at its moment.
///
/// A GUP holds the page from its completion to its release. A reference that is taken and not yet completed makes neither
/// verdict wrong, unless it can only be released.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Judged {
    /// No verdict in this state.
    Nothing,
    /// "Pinned", and somebody holds the page, or is about to.
    RightlyPinned,
    /// "Not pinned", and nobody holds the page. True also where a false positive was healed.
    RightlyFree {
        /// The walk before called the page pinned, wrongly, and no GUP came since.
        healed: bool,
    },
    /// "Not pinned" while a completed GUP holds the page.
    FalseNegative {
        /// What moved in this walk.
        raced: Raced,
        /// The walk before was wrong in the same way.
        again: bool,
    },
    /// "Pinned" while nobody holds the page.
    FalsePositive {
        /// What moved in this walk.
        raced: Raced,
        /// The walk before was wrong in the same way, and no GUP came since.
        again: bool,
    },
    /// No verdict, though all was observed.
    Uncertain,
}

/// What a search looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Finding {
    /// The bookkeeping of the model is broken.
    Unsound,
    /// A verdict was refused though every observation was given.
    Uncertain,
    /// "Not pinned" while a completed GUP holds the page.
    FalseNegative,
    /// The same, not so at the walk before, and no GUP moved in this one: a zap did it.
    FalseNegativeByZap,
    /// The same, not so at the walk before, and no zap moved in this one: a GUP did it.
    FalseNegativeByGup,
    /// The same, not so at the walk before, and nothing moved in this one.
    FalseNegativeQuiet,
    /// The same at two walks in a row.
    FalseNegativeAgain,
    /// "Pinned" while nobody holds the page.
    FalsePositive,
    /// The same, and only a zap moved in the walk.
    FalsePositiveByZap,
    /// The same, and only a GUP moved, one that releases its reference.
    FalsePositiveByGup,
    /// The same, and only a release moved: it came while the walk went on.
    FalsePositiveByPut,
    /// The same, and nothing moved in the walk.
    FalsePositiveQuiet,
    /// A false positive that the next walk repeats, though no GUP came.
    Unhealed,
    /// The same, and nothing moved in that next walk.
    UnhealedQuiet,
    /// A false positive that the next walk heals.
    Healed,
    /// A page rightly called pinned.
    RightlyPinned,
    /// A page rightly called free.
    RightlyFree,
    /// A GUP completes while a walk goes on.
    GupInWalk,
    /// The last walk ends.
    LastWalkEnds,
}

impl Finding {
    /// How many there are.
    pub const COUNT: usize = 19;

    /// Every finding.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Unsound,
        Self::Uncertain,
        Self::FalseNegative,
        Self::FalseNegativeByZap,
        Self::FalseNegativeByGup,
        Self::FalseNegativeQuiet,
        Self::FalseNegativeAgain,
        Self::FalsePositive,
        Self::FalsePositiveByZap,
        Self::FalsePositiveByGup,
        Self::FalsePositiveByPut,
        Self::FalsePositiveQuiet,
        Self::Unhealed,
        Self::UnhealedQuiet,
        Self::Healed,
        Self::RightlyPinned,
        Self::RightlyFree,
        Self::GupInWalk,
        Self::LastWalkEnds,
    ];

    /// The stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unsound => "unsound",
            Self::Uncertain => "uncertain",
            Self::FalseNegative => "false_negative",
            Self::FalseNegativeByZap => "false_negative_by_zap",
            Self::FalseNegativeByGup => "false_negative_by_gup",
            Self::FalseNegativeQuiet => "false_negative_quiet",
            Self::FalseNegativeAgain => "false_negative_again",
            Self::FalsePositive => "false_positive",
            Self::FalsePositiveByZap => "false_positive_by_zap",
            Self::FalsePositiveByGup => "false_positive_by_gup",
            Self::FalsePositiveByPut => "false_positive_by_put",
            Self::FalsePositiveQuiet => "false_positive_quiet",
            Self::Unhealed => "unhealed",
            Self::UnhealedQuiet => "unhealed_quiet",
            Self::Healed => "healed",
            Self::RightlyPinned => "rightly_pinned",
            Self::RightlyFree => "rightly_free",
            Self::GupInWalk => "gup_in_walk",
            Self::LastWalkEnds => "last_walk_ends",
        }
    }

    /// Whether the page must never get there; otherwise a search that misses it is one that does not move.
    #[must_use]
    pub const fn is_fault(self) -> bool {
        match self {
            Self::Unsound
            | Self::Uncertain
            | Self::FalseNegative
            | Self::FalseNegativeByZap
            | Self::FalseNegativeByGup
            | Self::FalseNegativeQuiet
            | Self::FalseNegativeAgain
            | Self::FalsePositive
            | Self::FalsePositiveByZap
            | Self::FalsePositiveByGup
            | Self::FalsePositiveByPut
            | Self::FalsePositiveQuiet
            | Self::Unhealed
            | Self::UnhealedQuiet => true,
            Self::Healed
            | Self::RightlyPinned
            | Self::RightlyFree
            | Self::GupInWalk
            | Self::LastWalkEnds => false,
        }
    }

    /// Whether it is seen in the verdict of this state. The findings of the state itself are in `world`.
    #[must_use]
    pub(crate) fn is_in(self, judged: Judged) -> bool {
        match self {
            Self::Unsound | Self::GupInWalk | Self::LastWalkEnds => false,
            Self::Uncertain => judged == Judged::Uncertain,
            Self::RightlyPinned => judged == Judged::RightlyPinned,
            Self::RightlyFree => matches!(judged, Judged::RightlyFree { .. }),
            Self::Healed => judged == Judged::RightlyFree { healed: true },
            Self::FalseNegative => matches!(judged, Judged::FalseNegative { .. }),
            Self::FalseNegativeAgain => matches!(judged, Judged::FalseNegative { again: true, .. }),
            Self::FalseNegativeByZap => judged.is_new_negative(|it| it.zap && !it.gup),
            Self::FalseNegativeByGup => judged.is_new_negative(|it| it.gup && !it.zap),
            Self::FalseNegativeQuiet => judged.is_new_negative(|it| !it.gup && !it.zap),
            Self::FalsePositive => matches!(judged, Judged::FalsePositive { .. }),
            Self::FalsePositiveByZap => judged.is_positive_by(Raced { zap: true, ..QUIET }),
            Self::FalsePositiveByGup => judged.is_positive_by(Raced { gup: true, ..QUIET }),
            Self::FalsePositiveByPut => judged.is_positive_by(Raced { put: true, ..QUIET }),
            Self::FalsePositiveQuiet => judged.is_positive_by(QUIET),
            Self::Unhealed => matches!(judged, Judged::FalsePositive { again: true, .. }),
            Self::UnhealedQuiet => {
                judged
                    == Judged::FalsePositive {
                        raced: QUIET,
                        again: true,
                    }
            }
        }
    }
}

const QUIET: Raced = Raced {
    zap: false,
    gup: false,
    put: false,
};

impl Judged {
    fn is_new_negative(self, by: impl Fn(Raced) -> bool) -> bool {
        matches!(self, Self::FalseNegative { raced, again: false } if by(raced))
    }

    fn is_positive_by(self, cause: Raced) -> bool {
        matches!(self, Self::FalsePositive { raced, .. } if raced == cause)
    }
}
