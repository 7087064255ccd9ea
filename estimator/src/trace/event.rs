//! The events of a trace, and the line that each is.

use core::fmt;

use crate::Outcome;

/// One event. Entries are numbered from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The page as it stands before the first event.
    Page(Page),
    /// A second writeback takes the page lock and enters mkclean. (The first has done so when a trace begins.)
    Enter,
    /// mkclean reads the flag.
    ReadFlag(bool),
    /// mkclean takes the flag: reads and clears it.
    TakeFlag(bool),
    /// mkclean sets or clears the flag.
    PutFlag(bool),
    /// mkclean reads a counter.
    Read(Counter, i64),
    /// A walk passes an entry.
    Pass(u8, Met),
    /// A walk ends, having counted so many.
    EndWalk(u32),
    /// mkclean is through, and this is its verdict.
    Says(Outcome),
    /// A step of a zap of an entry.
    Zap(u8, ZapStep),
    /// A step of a GUP through an entry.
    Gup(u8, GupStep),
    /// A completed GUP is put.
    Put,
}

/// How a modelled page begins. Every mapping is writable and present.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Page {
    /// Entries in shared mappings; entries 0 and up.
    pub shared: u8,
    /// Entries in private mappings, behind the shared ones.
    pub private: u8,
    /// Pins held.
    pub pins: u8,
    /// The pin flag.
    pub flag: bool,
    /// How a pin is counted.
    pub pin: Pin,
}

/// How the kernel counts a pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pin {
    /// `FOLL_PIN` on a small folio: 1024 on the reference count.
    Bias,
    /// `FOLL_GET`: one reference, like any other.
    Get,
    /// `FOLL_PIN` on a large folio: one reference and one on the exact count.
    Count,
}

/// What mkclean reads in one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Counter {
    /// Mapcount and shadow pins together.
    Combined,
    /// The references that can be explained.
    Explained,
    /// The reference count.
    Refcount,
    /// The exact count of pins of a large folio.
    Pincount,
    /// The ledger's pins.
    Pins,
}

/// What a walk makes of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Met {
    /// A present entry, counted and write-protected.
    Present,
    /// A zap marker, counted.
    Marker,
    /// A zap marker, replaced by an empty entry.
    Wiped,
    /// Nothing that this walk counts.
    Nothing,
}

/// The steps of a zap, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ZapStep {
    /// The entry becomes empty.
    Clear,
    /// A marker with the combined count of this moment is left in it.
    Mark(u32),
    /// The mapcount goes down.
    Decrement,
    /// The reference of the mapping is dropped.
    Drop,
    /// The page table is freed, and the marker with it.
    Free,
}

/// The steps of a GUP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GupStep {
    /// Fast: the entry is read without a lock.
    FastRead,
    /// Fast: the reference is taken.
    FastTake,
    /// Fast: the entry is unchanged, the reference stays.
    FastKeep,
    /// Fast: the entry changed, the reference is released.
    FastBackOff,
    /// Slow: the reference is taken.
    SlowTake,
    /// Either: the flag is set, the GUP is complete.
    Complete,
    /// Either, in the wrong order: the flag is set before the reference is taken.
    FlagEarly,
    /// Either, after that order: the GUP is complete.
    Return,
}

impl fmt::Display for Event {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Page(page) => write!(
                out,
                "page shared {} private {} pins {} flag {} pin {}",
                page.shared,
                page.private,
                page.pins,
                set(page.flag),
                page.pin.name()
            ),
            Self::Enter => out.write_str("mkclean enters again"),
            Self::ReadFlag(flag) => write!(out, "mkclean reads the flag: {}", set(flag)),
            Self::TakeFlag(flag) => write!(out, "mkclean takes the flag: {}", set(flag)),
            Self::PutFlag(true) => out.write_str("mkclean sets the flag"),
            Self::PutFlag(false) => out.write_str("mkclean clears the flag"),
            Self::Read(counter, value) => write!(out, "mkclean reads {}: {value}", counter.name()),
            Self::Pass(entry, met) => write!(out, "mkclean passes entry {entry}: {}", met.name()),
            Self::EndWalk(found) => write!(out, "mkclean ends its walk: {found}"),
            Self::Says(verdict) => write!(out, "mkclean says: {}", verdict.name()),
            Self::Zap(entry, ZapStep::Mark(count)) => {
                write!(out, "zap marks entry {entry}: {count}")
            }
            Self::Zap(entry, step) => write!(out, "zap {} entry {entry}", step.name()),
            Self::Gup(entry, step) => write!(out, "gup {} entry {entry}", step.name()),
            Self::Put => out.write_str("put"),
        }
    }
}

fn set(flag: bool) -> &'static str {
    if flag { "set" } else { "clear" }
}

impl Pin {
    pub(super) const ALL: [Self; 3] = [Self::Bias, Self::Get, Self::Count];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Bias => "bias",
            Self::Get => "get",
            Self::Count => "count",
        }
    }

    /// What it adds to the reference count.
    #[must_use]
    pub const fn weight(self) -> u32 {
        match self {
            Self::Bias => 1024,
            Self::Get | Self::Count => 1,
        }
    }
}

impl Counter {
    pub(super) const ALL: [Self; 5] = [
        Self::Combined,
        Self::Explained,
        Self::Refcount,
        Self::Pincount,
        Self::Pins,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Combined => "the combined count",
            Self::Explained => "the explained references",
            Self::Refcount => "the reference count",
            Self::Pincount => "the pin count",
            Self::Pins => "the ledger",
        }
    }
}

impl Met {
    pub(super) const ALL: [Self; 4] = [Self::Present, Self::Marker, Self::Wiped, Self::Nothing];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Present => "present, counted",
            Self::Marker => "marker, counted",
            Self::Wiped => "marker, wiped",
            Self::Nothing => "not counted",
        }
    }
}

impl ZapStep {
    pub(super) const PLAIN: [Self; 4] = [Self::Clear, Self::Decrement, Self::Drop, Self::Free];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Clear => "clears",
            Self::Mark(_) => "marks",
            Self::Decrement => "decrements the mapcount for",
            Self::Drop => "drops the reference for",
            Self::Free => "frees the page table of",
        }
    }
}

impl GupStep {
    pub(super) const ALL: [Self; 8] = [
        Self::FastRead,
        Self::FastTake,
        Self::FastKeep,
        Self::FastBackOff,
        Self::SlowTake,
        Self::Complete,
        Self::FlagEarly,
        Self::Return,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::FastRead => "(fast) reads",
            Self::FastTake => "(fast) takes a reference through",
            Self::FastKeep => "(fast) looks again and keeps its reference through",
            Self::FastBackOff => "(fast) looks again and releases its reference through",
            Self::SlowTake => "(slow) takes a reference through",
            Self::Complete => "sets the flag and completes through",
            Self::FlagEarly => "sets the flag before it goes through",
            Self::Return => "completes through",
        }
    }
}
