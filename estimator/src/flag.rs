//! The pin flag, `PageDMAPinned` in the mail: each estimator's own, kept between the walks of one folio.

use crate::{Estimator, Missing, Seen};

/// What is known of a pin flag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Flag {
    /// No GUP since it was last cleared.
    #[default]
    Clear,
    /// Set by a GUP, or set again by the estimator.
    Set,
    /// A GUP may have been missed.
    Unknown,
}

impl Flag {
    /// The stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Clear => "clear",
            Self::Set => "set",
            Self::Unknown => "unknown",
        }
    }

    /// The flag after a GUP, no GUP, or nobody knows.
    #[must_use]
    pub(crate) fn after_gup(self, gup: Seen<bool>) -> Self {
        match (self, gup) {
            (Self::Set, _) | (_, Ok(true)) => Self::Set,
            (Self::Clear, Ok(false)) => Self::Clear,
            (Self::Unknown, Ok(false)) | (Self::Clear | Self::Unknown, Err(_)) => Self::Unknown,
        }
    }

    /// The values it may have, first one first; both when unknown.
    #[inline]
    pub(crate) fn possible(self) -> &'static [bool] {
        match self {
            Self::Clear => &[false],
            Self::Set => &[true],
            Self::Unknown => &[false, true],
        }
    }
}

impl From<Seen<bool>> for Flag {
    fn from(seen: Seen<bool>) -> Self {
        match seen {
            Ok(true) => Self::Set,
            Ok(false) => Self::Clear,
            Err(
                Missing::NotCaptured
                | Missing::NoHook
                | Missing::Lost
                | Missing::Unreadable
                | Missing::NotInLedger,
            ) => Self::Unknown,
        }
    }
}

/// The flags of all estimators for one folio, in 16 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags(u16);

const _: () = assert!(
    2 * Estimator::COUNT <= u16::BITS as usize,
    "one more estimator takes a wider word here"
);

impl Flags {
    /// For a folio that nobody can have pinned yet.
    pub const CLEAR: Self = Self(0);

    /// For a folio first seen after something about it may have been missed.
    pub const UNKNOWN: Self = Self(0xaaaa);

    /// The flag of one estimator.
    #[must_use]
    pub fn get(self, estimator: Estimator) -> Flag {
        match (self.0 >> (2 * estimator as u32)) & 0b11 {
            0 => Flag::Clear,
            1 => Flag::Set,
            _ => Flag::Unknown,
        }
    }

    /// The flags with that of one estimator replaced.
    #[must_use]
    pub fn with(self, estimator: Estimator, flag: Flag) -> Self {
        let bits = match flag {
            Flag::Clear => 0,
            Flag::Set => 1,
            Flag::Unknown => 2,
        };
        let shift = 2 * estimator as u32;
        Self(self.0 & !(0b11 << shift) | (bits << shift))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_of_estimators_do_not_touch_each_other() {
        for estimator in Estimator::ALL {
            for flag in [Flag::Clear, Flag::Set, Flag::Unknown] {
                for start in [Flags::CLEAR, Flags::UNKNOWN] {
                    let flags = start.with(estimator, flag);
                    for other in Estimator::ALL {
                        let expected = if other == estimator {
                            flag
                        } else {
                            start.get(other)
                        };
                        assert_eq!(flags.get(other), expected);
                    }
                }
            }
        }
    }

    #[test]
    fn seen_gup_outweighs_a_doubt_and_a_doubt_outweighs_a_clear_flag() {
        assert_eq!(Flag::Unknown.after_gup(Ok(true)), Flag::Set);
        assert_eq!(Flag::Clear.after_gup(Err(Missing::Lost)), Flag::Unknown);
        assert_eq!(Flag::Set.after_gup(Err(Missing::Lost)), Flag::Set);
    }
}
