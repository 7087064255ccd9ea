//! Each comparison of each estimator turned around: what gives it away.
//!
//! A comparison that could be turned without a trace would decide nothing, or the model could not tell.

use std::collections::BTreeSet;

use estimator::{AsWritten, Compare, Estimator, Relation, Site};

use crate::finding::Finding;
use crate::scenario::{Lock, Scenario, Setting, Size};
use crate::search::{Searchable, search};

/// How a comparison is turned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Turn {
    /// It holds where it did not.
    Negated,
    /// Its sides change places.
    Mirrored,
    /// It moves by one: what holds strictly holds for equals too, and the other way round.
    Shifted,
}

impl Turn {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::Negated, Self::Mirrored, Self::Shifted];

    /// The stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Negated => "negated",
            Self::Mirrored => "mirrored",
            Self::Shifted => "shifted",
        }
    }
}

/// The rules as written, but for one comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Turned {
    site: Site,
    turn: Turn,
}

impl Compare for Turned {
    fn holds(self, site: Site, left: u32, relation: Relation, right: u32) -> bool {
        if site != self.site {
            return AsWritten.holds(site, left, relation, right);
        }
        match self.turn {
            Turn::Negated => !relation.holds(left, right),
            Turn::Mirrored => relation.holds(right, left),
            Turn::Shifted => match relation {
                Relation::Below => left <= right,
                Relation::AtMost => left < right,
                Relation::Equal => left <= right,
                Relation::AtLeast => left > right,
                Relation::Above => left >= right,
            },
        }
    }
}

/// One mutated estimator, and the findings that it gained or lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutant {
    /// Whose comparison it is.
    pub estimator: Estimator,
    /// Which comparison.
    pub site: Site,
    /// How it was turned.
    pub turn: Turn,
    /// Findings that exist only with the mutation or only without, or whose shortest trace has another length. Empty if
    /// nothing gave it away.
    pub told_by: BTreeSet<Finding>,
}

/// The estimators that make the comparison.
#[must_use]
pub fn makers(site: Site) -> &'static [Estimator] {
    match site {
        Site::SimplePinned => &[Estimator::Simple],
        Site::TwoWalkIllegal | Site::TwoWalkEqual | Site::TwoWalkForSure => {
            &[Estimator::TwoWalk, Estimator::TwoWalkFixed]
        }
        Site::TwoWalkZapped => &[Estimator::TwoWalk],
        Site::TwoWalkFixedZapped => &[Estimator::TwoWalkFixed],
        Site::OrderedIllegal | Site::OrderedMissing => {
            &[Estimator::Ordered, Estimator::OrderedRecheck]
        }
        Site::RecheckMissing => &[Estimator::OrderedRecheck],
        Site::Unexplained => &[Estimator::ExpectedRefs],
        Site::KernelPincount | Site::KernelBias => &[Estimator::Kernel],
        Site::LedgerPins => &[Estimator::Ledger],
    }
}

/// Every mutant, searched on a small page with the lock held.
#[must_use]
pub fn mutants() -> Vec<Mutant> {
    let mut mutants = Vec::new();
    for site in Site::ALL {
        let large = site == Site::KernelPincount;
        let setting = if large {
            Setting::Large
        } else {
            Setting::Plain
        };
        for &estimator in makers(site) {
            let scenario = Scenario {
                estimator,
                lock: Lock::Held,
                setting,
                size: Size::SMALL,
            };
            let written = findings(scenario, AsWritten);
            for turn in Turn::ALL {
                let turned = findings(scenario, Turned { site, turn });
                let told_by = written
                    .symmetric_difference(&turned)
                    .map(|(finding, _)| *finding)
                    .collect();
                mutants.push(Mutant {
                    estimator,
                    site,
                    turn,
                    told_by,
                });
            }
        }
    }
    mutants
}

/// The mutants that nothing gives away, and why that is right.
pub const ALIKE: [(Estimator, Site, Turn, &str); 6] = [
    (
        Estimator::TwoWalk,
        Site::TwoWalkEqual,
        Turn::Mirrored,
        "equality has no sides",
    ),
    (
        Estimator::TwoWalkFixed,
        Site::TwoWalkEqual,
        Turn::Mirrored,
        "equality has no sides",
    ),
    (
        Estimator::TwoWalk,
        Site::TwoWalkEqual,
        Turn::Shifted,
        "less was refused just before",
    ),
    (
        Estimator::TwoWalkFixed,
        Site::TwoWalkEqual,
        Turn::Shifted,
        "less was refused just before",
    ),
    (
        Estimator::OrderedRecheck,
        Site::OrderedMissing,
        Turn::Shifted,
        "it only looks a second time where once was enough",
    ),
    (
        Estimator::Kernel,
        Site::KernelBias,
        Turn::Shifted,
        "a page in the page cache has more references than the bias alone",
    ),
];

/// The findings and the lengths of their shortest traces.
fn findings<C: Searchable>(scenario: Scenario, compare: C) -> BTreeSet<(Finding, usize)> {
    search(scenario, compare)
        .traces
        .into_iter()
        .map(|(it, trace)| (it, trace.steps.len()))
        .collect()
}
