//! The arguments that a probe relies on.

/// An argument of a function: its index from 0, and its type as BTF spells it.
pub type Argument = (usize, &'static str);

/// Those that a probe reads, in order; no probe reads more than three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prototype([Option<Argument>; 3]);

impl Prototype {
    /// Nothing is relied on.
    pub const NONE: Self = Self([None; 3]);

    pub(crate) const fn one(argument: Argument) -> Self {
        Self([Some(argument), None, None])
    }

    /// In whichever order they are given.
    pub(crate) const fn two(one: Argument, other: Argument) -> Self {
        if one.0 < other.0 {
            Self([Some(one), Some(other), None])
        } else {
            Self([Some(other), Some(one), None])
        }
    }

    pub(crate) const fn three(first: Argument, second: Argument, third: Argument) -> Self {
        Self([Some(first), Some(second), Some(third)])
    }

    /// The arguments.
    pub fn arguments(&self) -> impl Iterator<Item = Argument> {
        self.0.iter().copied().flatten()
    }
}
