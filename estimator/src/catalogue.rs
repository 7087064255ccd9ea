//! The names of the estimators, stable across releases: metrics, reports and recordings use them.

/// One way of knowing that a page is pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Estimator {
    /// December 2018: walk, then read the combined count; pinned iff it is larger than the entries found.
    Simple,
    /// The mail of 3 January 2019: read the count, walk, and where they differ read and walk again.
    TwoWalk,
    /// [`Self::TwoWalk`] with its last comparison repaired.
    TwoWalkFixed,
    /// 11 January 2019: take the flag, read the count, then walk; set the flag again where entries are missing.
    Ordered,
    /// 11 January 2019: [`Self::Ordered`], with a second read and a second walk on a mismatch.
    OrderedRecheck,
    /// In tree since 2025: more references than mappings, page cache and private data explain.
    ExpectedRefs,
    /// In tree since 5.7: `folio_maybe_dma_pinned()`.
    Kernel,
    /// The exact book of GUPs and releases that the probes saw.
    Ledger,
}

impl Estimator {
    /// How many there are.
    pub const COUNT: usize = 8;

    /// Every estimator, in the order of the catalogue; `ALL[i] as usize == i`.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Simple,
        Self::TwoWalk,
        Self::TwoWalkFixed,
        Self::Ordered,
        Self::OrderedRecheck,
        Self::ExpectedRefs,
        Self::Kernel,
        Self::Ledger,
    ];

    /// The stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Simple => "simple",
            Self::TwoWalk => "two_walk",
            Self::TwoWalkFixed => "two_walk_fixed",
            Self::Ordered => "ordered",
            Self::OrderedRecheck => "ordered_recheck",
            Self::ExpectedRefs => "expected_refs",
            Self::Kernel => "kernel",
            Self::Ledger => "ledger",
        }
    }

    /// The estimator of that name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }

    /// Whether it judges by the combined count and a walk, and so keeps a pin flag of its own.
    #[must_use]
    pub const fn uses_mapcount(self) -> bool {
        match self {
            Self::Simple
            | Self::TwoWalk
            | Self::TwoWalkFixed
            | Self::Ordered
            | Self::OrderedRecheck => true,
            Self::ExpectedRefs | Self::Kernel | Self::Ledger => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_estimator_is_found_under_its_own_name_and_index() {
        for (index, estimator) in Estimator::ALL.into_iter().enumerate() {
            assert_eq!(estimator as usize, index);
            assert_eq!(Estimator::from_name(estimator.name()), Some(estimator));
        }
        assert_eq!(Estimator::from_name("guess"), None);
    }
}
