//! The hooks on functions that take and release references, from the tables of `probe-abi`.

use probe_abi::{gup_functions, release_functions};

use crate::{
    exercise::{
        Exercise::{
            BufferRing, DirectRead, DmaBuf, FixedBuffer, GetMempolicy, ProcSelfMem, ProcessVmReadv,
            ProcessVmWritev, SampledFaults, Splice, SpliceOfAbsentPages, XdpSocket,
        },
        Test::{By, OnlyCalledBy},
    },
    hook::{At, Candidate, Context, Family, Feeds, Hook, Need},
    prototype::Prototype,
};

/// How a function says what it took.
enum Taken {
    Pages { flags: usize, array: usize },
    Folios { array: usize },
    Folio { folio: usize },
    FolioTimes { folio: usize, times: usize },
}

impl Taken {
    const fn prototype(&self) -> Prototype {
        match *self {
            Self::Pages { flags, array } => {
                Prototype::two((flags, "unsigned int"), (array, "struct page **"))
            }
            Self::Folios { array } => Prototype::one((array, "struct folio **")),
            Self::Folio { folio } => Prototype::one((folio, "struct folio *")),
            Self::FolioTimes { folio, times } => {
                Prototype::two((folio, "struct folio *"), (times, "unsigned int"))
            }
        }
    }

    const fn at(&self) -> At {
        match self {
            // What it rolls back is told by being inside of it.
            Self::Folios { .. } => At::EntryAndReturn,
            Self::Pages { .. } | Self::Folio { .. } | Self::FolioTimes { .. } => At::Call,
        }
    }
}

/// How a function says what it releases.
enum Released {
    Page,
    Folio,
    FolioTimes,
    PageArray,
    FolioArray,
    DirtyPageArray,
    PageRange,
}

impl Released {
    const fn prototype(&self) -> Prototype {
        let (page, folio) = ((0, "struct page *"), (0, "struct folio *"));
        let (pages, folios) = ((0, "struct page **"), (0, "struct folio **"));
        let (number, dirty) = ((1, "unsigned long"), (2, "bool"));
        match self {
            Self::Page => Prototype::one(page),
            Self::Folio => Prototype::one(folio),
            Self::FolioTimes => Prototype::two(folio, number),
            Self::PageArray => Prototype::two(pages, number),
            Self::FolioArray => Prototype::two(folios, number),
            Self::DirtyPageArray => Prototype::three(pages, number, dirty),
            Self::PageRange => Prototype::three(page, number, dirty),
        }
    }
}

/// Who calls a function that releases, and by that where its probe runs.
enum Callers {
    Tasks,
    Interrupts,
}

impl Callers {
    const fn at(&self) -> At {
        match self {
            Self::Tasks => At::Entry,
            // What was missed there would be missing from the totals for good.
            Self::Interrupts => At::EntryWithFallback,
        }
    }

    const fn context(&self) -> Context {
        match self {
            Self::Tasks => Context::Task,
            Self::Interrupts => Context::Any,
        }
    }
}

macro_rules! takes {
    (Pin) => {
        Feeds::Pins
    };
    (Get) => {
        Feeds::References
    };
}

macro_rules! gup {
    ($({ $symbol:ident, $takes:ident, $shape:ident $arguments:tt, $test:expr })*) => {
        &[$(Hook {
            name: stringify!($symbol),
            family: Family::Gup,
            need: Need::IfPresent,
            feeds: takes!($takes),
            test: $test,
            candidates: &[Candidate {
                symbol: stringify!($symbol),
                probe: Some(stringify!($symbol)),
                at: Taken::$shape $arguments.at(),
                context: Context::Task,
                prototype: Taken::$shape $arguments.prototype(),
            }],
        }),*]
    };
}

macro_rules! release {
    ($({ $symbol:ident, $shape:ident, $callers:ident, $test:expr })*) => {
        &[$(Hook {
            name: stringify!($symbol),
            family: Family::Release,
            need: Need::IfPresent,
            feeds: Feeds::PinsReleased,
            test: $test,
            candidates: &[Candidate {
                symbol: stringify!($symbol),
                probe: Some(stringify!($symbol)),
                at: Callers::$callers.at(),
                context: Callers::$callers.context(),
                prototype: Released::$shape.prototype(),
            }],
        }),*]
    };
}

/// Those that take references.
pub(crate) const GUP: &[Hook] = gup_functions!(gup);

/// Those that release pins.
pub(crate) const RELEASE: &[Hook] = release_functions!(release);
