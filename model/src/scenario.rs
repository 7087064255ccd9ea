//! What is searched: the size of the page, what its kernel does, which locks it holds.

use estimator::{Estimator, trace};

/// How the page-table lock is held. Readers of the counts never take it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lock {
    /// By a zap from clearing an entry to the mapcount decrement, by a slow GUP from its reference to its flag; a walk
    /// waits for it at each entry. As in the kernel.
    Held,
    /// By nobody: every step of everyone can follow every other.
    Absent,
}

impl Lock {
    /// Both regimes.
    pub const ALL: [Self; 2] = [Self::Held, Self::Absent];

    /// The stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Absent => "absent",
        }
    }
}

/// What the kernel around the page does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Setting {
    /// Shared mappings; every zap leaves a marker, which stays until a walk wipes it.
    Plain,
    /// After a zap its page table is freed, and the marker with it, as `munmap()` does.
    Freed,
    /// Only a zap of a writable entry leaves a marker: the letter of the mail.
    Literal,
    /// A GUP sets the flag before it takes its reference, not after.
    Early,
    /// One private mapping beside the shared ones.
    Private,
    /// A GUP takes one reference, as `FOLL_GET` does, not the bias of `FOLL_PIN`.
    Get,
    /// A large folio: a GUP takes one reference and counts one in an exact count of pins.
    Large,
}

impl Setting {
    /// Every setting.
    pub const ALL: [Self; 7] = [
        Self::Plain,
        Self::Freed,
        Self::Literal,
        Self::Early,
        Self::Private,
        Self::Get,
        Self::Large,
    ];

    /// The stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Freed => "freed",
            Self::Literal => "literal",
            Self::Early => "early",
            Self::Private => "private",
            Self::Get => "get",
            Self::Large => "large",
        }
    }

    /// Whether it can change anything for `estimator`.
    #[must_use]
    pub fn concerns(self, estimator: Estimator) -> bool {
        let markers = matches!(
            estimator,
            Estimator::TwoWalk | Estimator::TwoWalkFixed | Estimator::OrderedRecheck
        );
        match self {
            Self::Plain | Self::Private => true,
            Self::Freed | Self::Literal => markers,
            // Without a flag, or without the mapcount, the order shows nowhere.
            Self::Early => estimator.uses_mapcount() && estimator != Estimator::Simple,
            Self::Get | Self::Large => !estimator.uses_mapcount(),
        }
    }
}

/// How often the page is cleaned before the search ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Walks {
    /// Once.
    One,
    /// Twice, the page lock free in between.
    Two,
}

/// The largest page that is searched; every smaller one is searched with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Size {
    /// Entries in shared mappings.
    pub entries: u8,
    /// Pins held when the first walk begins.
    pub pins: u8,
    /// GUPs that may start at any moment, each fast or slow.
    pub gups: u8,
    /// How often the page is cleaned.
    pub walks: Walks,
}

impl Size {
    /// Entries that a page has room for, private ones included.
    pub const MOST_ENTRIES: usize = 4;
    /// GUPs that a page has room for.
    pub const MOST_GUPS: usize = 2;

    /// One walk, the most entries.
    pub const WIDE: Self = Self {
        entries: 3,
        pins: 2,
        gups: 1,
        walks: Walks::One,
    };
    /// One walk, the most GUPs.
    pub const CROWDED: Self = Self {
        entries: 2,
        pins: 2,
        gups: 2,
        walks: Walks::One,
    };
    /// Two walks.
    pub const DEEP: Self = Self {
        entries: 2,
        pins: 1,
        gups: 1,
        walks: Walks::Two,
    };
    /// Two walks of one entry.
    pub const NARROW: Self = Self {
        entries: 1,
        pins: 1,
        gups: 1,
        walks: Walks::Two,
    };
    /// One walk, two entries.
    pub const SMALL: Self = Self {
        entries: 2,
        pins: 1,
        gups: 1,
        walks: Walks::One,
    };
}

/// One search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Scenario {
    /// Who judges.
    pub estimator: Estimator,
    /// Which locks are held.
    pub lock: Lock,
    /// What the kernel does.
    pub setting: Setting,
    /// How large the page is.
    pub size: Size,
}

impl Scenario {
    /// How a pin is counted.
    #[must_use]
    pub fn pin(&self) -> trace::Pin {
        match self.setting {
            Setting::Plain
            | Setting::Freed
            | Setting::Literal
            | Setting::Early
            | Setting::Private => trace::Pin::Bias,
            Setting::Get => trace::Pin::Get,
            Setting::Large => trace::Pin::Count,
        }
    }

    /// Whether the reference count is read, so that the drop of a mapping's reference is a step of its own.
    #[must_use]
    pub fn reads_references(&self) -> bool {
        matches!(self.estimator, Estimator::ExpectedRefs | Estimator::Kernel)
    }

    /// Every page that a trace can begin with.
    ///
    /// The flag is set where a pin is held, as its GUP did; without one it may have been left set by an earlier pin.
    #[must_use]
    pub fn pages(&self) -> Vec<trace::Page> {
        let private = match self.setting {
            Setting::Private => 1,
            Setting::Plain
            | Setting::Freed
            | Setting::Literal
            | Setting::Early
            | Setting::Get
            | Setting::Large => 0,
        };
        let mut pages = Vec::new();
        for shared in 0..=self.size.entries {
            for pins in 0..=self.size.pins {
                for flag in [false, true] {
                    if flag || pins == 0 {
                        let pin = self.pin();
                        pages.push(trace::Page {
                            shared,
                            private,
                            pins,
                            flag,
                            pin,
                        });
                    }
                }
            }
        }
        pages
    }
}
