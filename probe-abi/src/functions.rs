//! Every function of the kernel that takes or releases references on user pages, a row each. From
//! its row come the probes' programs, the agent's hook, its candidate and prototype, the metrics
//! that it feeds and what the self-test does about it. A new function of a shape that is here is a
//! new row, and nothing else.
//!
//! Each table hands all of its rows to the macro that it is given, which takes from them what it
//! needs.

/// Functions that take references.
///
/// | column | what it says |
/// | --- | --- |
/// | symbol | the function, and the hook |
/// | `Pin`, `Get` | what it takes: `FOLL_PIN` or a plain reference |
/// | shape | which arguments say what it took, see below |
/// | test | which exercises of the self-test go through it, or who alone calls it |
///
/// | shape | the function |
/// | --- | --- |
/// | `Pages { flags, array }` | fills an array of pages, and returns how many |
/// | `Folios { array }` | the same of folios, always for long; rolls back in itself when it fails |
/// | `Folio { folio }` | pins the folio once |
/// | `FolioTimes { folio, times }` | pins it as often as the other argument says; returns 0 |
///
/// [`Owner::function`](crate::Owner::function) is the number of a row: new ones come last.
#[macro_export]
macro_rules! gup_functions {
    ($with:ident) => {
        $with! {
            {
                get_user_pages, Get, Pages { flags: 2, array: 3 },
                OnlyCalledBy("SGX, KVM, uprobes and drivers")
            }
            {
                get_user_pages_fast, Get, Pages { flags: 2, array: 3 },
                By(&[Splice, DirectRead])
            }
            {
                get_user_pages_fast_only, Get, Pages { flags: 2, array: 3 },
                By(&[SampledFaults])
            }
            {
                get_user_pages_remote, Get, Pages { flags: 3, array: 4 },
                By(&[ProcSelfMem])
            }
            {
                get_user_pages_unlocked, Get, Pages { flags: 3, array: 2 },
                By(&[SpliceOfAbsentPages])
            }
            {
                get_user_pages_locked, Get, Pages { flags: 2, array: 3 },
                By(&[GetMempolicy])
            }
            {
                pin_user_pages, Pin, Pages { flags: 2, array: 3 },
                By(&[XdpSocket, FixedBuffer, BufferRing])
            }
            {
                pin_user_pages_fast, Pin, Pages { flags: 2, array: 3 },
                By(&[DirectRead, FixedBuffer, BufferRing])
            }
            {
                pin_user_pages_fast_only, Pin, Pages { flags: 2, array: 3 },
                OnlyCalledBy("graphics drivers")
            }
            {
                pin_user_pages_remote, Pin, Pages { flags: 3, array: 4 },
                By(&[ProcessVmReadv, ProcessVmWritev])
            }
            {
                pin_user_pages_unlocked, Pin, Pages { flags: 3, array: 2 },
                OnlyCalledBy("KVM and drivers of video capture")
            }
            {
                pin_user_pages_locked, Pin, Pages { flags: 2, array: 3 },
                OnlyCalledBy("drivers from elsewhere")
            }
            {
                memfd_pin_folios, Pin, Folios { array: 3 },
                By(&[DmaBuf])
            }
            {
                folio_add_pin, Pin, Folio { folio: 0 },
                OnlyCalledBy("direct I/O of file systems such as FAT and NTFS")
            }
            {
                folio_add_pins, Pin, FolioTimes { folio: 0, times: 1 },
                OnlyCalledBy("IOMMUFD")
            }
        }
    };
}

/// Functions that release `FOLL_PIN` references.
///
/// | column | what it says |
/// | --- | --- |
/// | symbol | the function, and the hook |
/// | shape | its arguments, see below |
/// | `Tasks`, `Interrupts` | who calls it: tasks alone, or interrupts too, which may nest |
/// | test | which exercises of the self-test go through it, or who alone calls it |
///
/// | shape | arguments |
/// | --- | --- |
/// | `Page`, `Folio` | one, of which one reference is released |
/// | `FolioTimes` | a folio, and how many |
/// | `PageArray`, `FolioArray` | an array, and how many are in it |
/// | `DirtyPageArray` | the same, and whether to make them dirty; if not, it calls the one above |
/// | `PageRange` | a page, how many side by side, and whether to make them dirty |
#[macro_export]
macro_rules! release_functions {
    ($with:ident) => {
        $with! {
            {
                unpin_user_page, Page, Interrupts,
                By(&[BufferRing, DirectRead, FixedBuffer])
            }
            {
                unpin_user_pages, PageArray, Tasks,
                By(&[ProcessVmReadv, BufferRing])
            }
            {
                unpin_user_pages_dirty_lock, DirtyPageArray, Tasks,
                By(&[ProcessVmWritev, XdpSocket])
            }
            {
                unpin_user_page_range_dirty_lock, PageRange, Tasks,
                OnlyCalledBy("RDMA, VFIO and IOMMUFD")
            }
            {
                unpin_user_folio, FolioTimes, Interrupts,
                By(&[DirectRead, FixedBuffer])
            }
            {
                unpin_folio, Folio, Tasks,
                By(&[DmaBuf])
            }
            {
                unpin_folios, FolioArray, Tasks,
                OnlyCalledBy("IOMMUFD, and the kernel itself where it rolls pins back")
            }
        }
    };
}

macro_rules! names {
    ($({ $symbol:ident, $($rest:tt)* })*) => { &[$(stringify!($symbol)),*] };
}

const GUP: &[&str] = gup_functions!(names);

/// Names of the functions that take references, in the order of their rows.
pub const GUP_FUNCTIONS: [&str; GUP.len()] = {
    let mut names = [""; GUP.len()];
    names.copy_from_slice(GUP);
    names
};

/// The names of those functions that release and that interrupts call too.
macro_rules! interrupted {
    (@$names:tt) => { &$names };
    (@[$($names:expr),*] { $symbol:ident, $shape:ident, Interrupts, $test:expr } $($rest:tt)*) => {
        interrupted!(@[$($names,)* stringify!($symbol)] $($rest)*)
    };
    (@$names:tt { $symbol:ident, $shape:ident, Tasks, $test:expr } $($rest:tt)*) => {
        interrupted!(@$names $($rest)*)
    };
    ($($rows:tt)*) => { interrupted!(@[] $($rows)*) };
}

/// Names of the functions that release and that interrupts call too, in the order of their rows.
pub const INTERRUPTED: &[&str] = release_functions!(interrupted);

/// The place of a name in a list.
///
/// # Panics
///
/// If it is not there: while compiling, where it is used.
#[must_use]
pub const fn place(name: &str, names: &[&str]) -> usize {
    let mut at = 0;
    while at < names.len() {
        let (here, wanted) = (names[at].as_bytes(), name.as_bytes());
        let mut same = here.len() == wanted.len();
        let mut byte = 0;
        while same && byte < wanted.len() {
            same = here[byte] == wanted[byte];
            byte += 1;
        }
        if same {
            return at;
        }
        at += 1;
    }
    panic!("not one of these functions")
}
