//! Every comparison that decides, by name.
//!
//! The seam through which a mutation check turns one of them around. Live code uses [`AsWritten`], which has no size
//! and compiles to the plain operator.

use core::cmp::Ordering;

/// How the left side must stand to the right one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Relation {
    /// `<`
    Below,
    /// `<=`
    AtMost,
    /// `==`
    Equal,
    /// `>=`
    AtLeast,
    /// `>`
    Above,
}

impl Relation {
    /// Whether `left` stands so to `right`.
    #[must_use]
    pub fn holds(self, left: u32, right: u32) -> bool {
        match self {
            Self::Below => left < right,
            Self::AtMost => left <= right,
            Self::Equal => left == right,
            Self::AtLeast => left >= right,
            Self::Above => left > right,
        }
    }

    /// The ordering that would make it hold strictly, if it has a direction.
    #[must_use]
    pub const fn direction(self) -> Ordering {
        match self {
            Self::Below | Self::AtMost => Ordering::Less,
            Self::Equal => Ordering::Equal,
            Self::AtLeast | Self::Above => Ordering::Greater,
        }
    }
}

/// One comparison in one rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Site {
    /// `simple`: the count is above the entries found.
    SimplePinned,
    /// Both two-walk rules: the first count is below the entries found, which is illegal.
    TwoWalkIllegal,
    /// Both two-walk rules: the first count equals the entries found.
    TwoWalkEqual,
    /// Both two-walk rules: the second count is above the entries found, "for sure".
    TwoWalkForSure,
    /// `two_walk`: the second count is at most entries plus markers.
    TwoWalkZapped,
    /// `two_walk_fixed`: the second count is at most entries less markers.
    TwoWalkFixedZapped,
    /// Both ordered rules: the count is below the entries found, which is illegal.
    OrderedIllegal,
    /// Both ordered rules: fewer entries found than counted.
    OrderedMissing,
    /// `ordered_recheck`: fewer entries found by the second walk than counted by the second read.
    RecheckMissing,
    /// `expected_refs`: more references than explained.
    Unexplained,
    /// `kernel`: a pin count above zero.
    KernelPincount,
    /// `kernel`: a reference count of at least the pin bias.
    KernelBias,
    /// `ledger`: a pin in the book.
    LedgerPins,
}

impl Site {
    /// Every comparison.
    pub const ALL: [Self; 13] = [
        Self::SimplePinned,
        Self::TwoWalkIllegal,
        Self::TwoWalkEqual,
        Self::TwoWalkForSure,
        Self::TwoWalkZapped,
        Self::TwoWalkFixedZapped,
        Self::OrderedIllegal,
        Self::OrderedMissing,
        Self::RecheckMissing,
        Self::Unexplained,
        Self::KernelPincount,
        Self::KernelBias,
        Self::LedgerPins,
    ];
}

/// Decides the comparisons of a machine.
pub trait Compare: Copy {
    /// Whether `left` stands in `relation` to `right` at `site`.
    fn holds(self, site: Site, left: u32, relation: Relation, right: u32) -> bool;
}

/// The rules as their authors wrote them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct AsWritten;

impl Compare for AsWritten {
    #[inline]
    fn holds(self, _: Site, left: u32, relation: Relation, right: u32) -> bool {
        relation.holds(left, right)
    }
}
