//! The questions of the estimators and their answers.
//!
//! Each question is one step of the modelled kernel, except a walk, which passes its entries one by one.

use crate::{Missing, Pincount};

/// The next observation, or the next change of the pin flag, that a machine wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ask {
    /// Is the pin flag set?
    ReadFlag,
    /// Is the pin flag set? And clear it in the same step, a full barrier behind it.
    TakeFlag,
    /// Clear the pin flag.
    ClearFlag,
    /// Set the pin flag.
    SetFlag,
    /// The combined count: mapcount plus shadow pins.
    Count,
    /// Walk the shared mappings and count the present entries; empty every zap marker on the way.
    Walk,
    /// Walk the shared mappings and count the zap markers.
    MarkerWalk,
    /// Walk the shared mappings and count the present entries, and the markers of zaps after the combined count was
    /// read as `read` (those that carry at most `read`).
    RecheckWalk {
        /// The combined count that the walk is compared with.
        read: u32,
    },
    /// The references that mappings, page cache, private data and the caller explain.
    Explained,
    /// The reference count.
    Refcount,
    /// The exact count of pins, on folios that keep one.
    Pincount,
    /// The pins in the ledger.
    Pins,
}

impl Ask {
    /// The stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReadFlag => "read_flag",
            Self::TakeFlag => "take_flag",
            Self::ClearFlag => "clear_flag",
            Self::SetFlag => "set_flag",
            Self::Count => "count",
            Self::Walk => "walk",
            Self::MarkerWalk => "marker_walk",
            Self::RecheckWalk { .. } => "recheck_walk",
            Self::Explained => "explained",
            Self::Refcount => "refcount",
            Self::Pincount => "pincount",
            Self::Pins => "pins",
        }
    }
}

/// What a driver gives for an [`Ask`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// To [`Ask::ReadFlag`] and [`Ask::TakeFlag`].
    Flag(bool),
    /// To everything that is counted.
    Number(u32),
    /// To [`Ask::Refcount`]: the raw value, which the kernel compares as unsigned.
    Refcount(i32),
    /// To [`Ask::Pincount`].
    Pincount(Pincount),
    /// To [`Ask::ClearFlag`] and [`Ask::SetFlag`].
    Done,
    /// It was not observed. Never a guess.
    Unknown(Missing),
}
