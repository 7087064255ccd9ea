//! What raced with a walk, as far as its sample tells, and how often and for how
//! long it could.

use estimator::{Estimator, Outcome};
use probe_abi::{MkcleanSample, SampleFlags};

use super::{answers::Answers, inputs::Inputs};
use crate::histogram::{Histogram, WALK_BOUNDS_NS};

/// The one race that a wrong verdict is put down to: the first of these that was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Race {
    /// The kernel shows a pin that the ledger does not: as a rule because at the exit a GUP had
    /// taken its reference and not returned, or a release was on its way. The sample has no proof
    /// of it: the audit looks at the folio, and a pin that was not seen is entered then.
    UnderWay,
    /// A GUP of the folio completed between entry and exit.
    Gup,
    /// A zap decremented the mapcount between entry and exit.
    Zap,
    /// A reference was released between entry and exit.
    Release,
    /// The estimator said the same, as wrongly, at the folio's walk before, and no
    /// GUP came since: the flag that it cleared then is what is missing now.
    Again,
    /// No race: a plain reference, which a rule that knows only the kernel's counts
    /// cannot tell from others.
    Reference,
    /// None of these.
    Quiet,
}

impl Race {
    /// How many there are.
    pub const COUNT: usize = 7;
    /// The first that was seen counts.
    pub const ALL: [Self; Self::COUNT] = [
        Self::UnderWay,
        Self::Gup,
        Self::Zap,
        Self::Release,
        Self::Again,
        Self::Reference,
        Self::Quiet,
    ];

    /// In metrics and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnderWay => "under_way",
            Self::Gup => "gup",
            Self::Zap => "zap",
            Self::Release => "release",
            Self::Again => "again",
            Self::Reference => "reference",
            Self::Quiet => "quiet",
        }
    }

    /// What raced with the walk of `sample`, on which `estimator` erred. How it did
    /// `before` is its own affair.
    pub(super) fn of(
        estimator: Estimator,
        sample: &MkcleanSample,
        answers: &Answers,
        before: Before,
    ) -> Self {
        let kernel = answers.of_one(Estimator::Kernel);
        let ledger = answers.of_one(Estimator::Ledger);
        if (kernel, ledger) == (Outcome::Pinned, Outcome::NotPinned) {
            return Self::UnderWay;
        }
        if gups(sample) > 0 {
            return Self::Gup;
        }
        if zapped(sample) {
            return Self::Zap;
        }
        if sample.pins_exit < sample.pins_entry || sample.gets_exit < sample.gets_entry {
            return Self::Release;
        }
        match (before, kernel, ledger) {
            (Before::Erred, _, _) if estimator.uses_mapcount() => Self::Again,
            (_, Outcome::NotPinned, Outcome::Pinned) if !estimator.uses_mapcount() => {
                Self::Reference
            }
            (Before::Erred | Before::Right, _, _) => Self::Quiet,
        }
    }
}

/// How an estimator did at the folio's walk before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    /// A false negative, and no GUP since.
    Erred,
    Right,
}

/// The estimators whose last verdict of a folio was a false negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Erred(u8);

const _: () = assert!(
    Estimator::COUNT <= u8::BITS as usize,
    "one more estimator takes a wider word here"
);

impl Erred {
    pub(super) fn before(self, estimator: Estimator) -> Before {
        if self.0 & (1 << estimator as u8) == 0 {
            Before::Right
        } else {
            Before::Erred
        }
    }

    pub(super) fn add(&mut self, estimator: Estimator) {
        self.0 |= 1 << estimator as u8;
    }
}

/// GUPs between entry and exit. The ledger counts a reference before it notes its
/// GUP, so a count that grew shows one that is not noted yet.
pub(super) fn gups(sample: &MkcleanSample) -> u32 {
    let grew = sample.pins_exit > sample.pins_entry || sample.gets_exit > sample.gets_entry;
    sample.gups.max(u32::from(grew))
}

/// A zap shows in the count of decrements, where that is kept, and in a mapcount
/// that fell: the page lock keeps new mappings out.
fn zapped(sample: &MkcleanSample) -> bool {
    (sample.has(SampleFlags::ZAPS_KNOWN) && sample.zaps > 0)
        || (sample.has(SampleFlags::MAPCOUNT_KNOWN) && sample.mapcount_exit < sample.mapcount_entry)
}

/// The walks that were judged: how long each took, and what fell into it.
#[derive(Clone, Debug)]
pub struct Walks {
    /// How long each took.
    pub duration: Histogram,
    /// Walks in which a zap decremented the mapcount; `None` without the hook.
    pub zapped: Option<u64>,
    /// Walks in which a GUP of the folio completed.
    pub guped: u64,
    /// Walks of a folio that was under writeback at the exit.
    pub under_writeback: u64,
    /// Of those, walks in which a GUP of the folio completed.
    pub guped_under_writeback: u64,
}

impl Walks {
    pub(super) fn new(inputs: Inputs) -> Self {
        Self {
            duration: Histogram::new(&WALK_BOUNDS_NS),
            zapped: inputs.zaps.then_some(0),
            guped: 0,
            under_writeback: 0,
            guped_under_writeback: 0,
        }
    }

    pub(super) fn note(&mut self, sample: &MkcleanSample) {
        self.duration.add(sample.walk_ns);
        if let Some(count) = &mut self.zapped {
            *count += u64::from(zapped(sample));
        }
        let guped = u64::from(gups(sample) > 0);
        let writeback = u64::from(sample.has(SampleFlags::WRITEBACK));
        self.guped += guped;
        self.under_writeback += writeback;
        self.guped_under_writeback += guped & writeback;
    }
}
