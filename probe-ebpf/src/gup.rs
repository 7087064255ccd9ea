//! GUP: every call that takes references on user pages.
//!
//! Counted at the exported functions, outermost call only: inside, fast and
//! slow path both run, retry and roll back. What a call returned is what was taken.

use core::mem::offset_of;

use aya_ebpf::{
    macros::{fentry, fexit, kprobe, kretprobe},
    programs::{FEntryContext, FExitContext, ProbeContext, RetProbeContext},
};
use pastey::paste;
use probe_abi::{ABSENT, CpuCounters, GUP_FUNCTIONS, Lost, gup_functions, place};

use crate::{
    book::{
        counters,
        identify::{Found, identify, settle},
        threads::{self, Thread},
    },
    booking::{pages, run::Act, small},
    kernel::{
        args::{Args, returned},
        interrupt::in_interrupt,
        layout::layout,
        task::{self, Me},
    },
    rollback,
    verifier::unknown::unknown_zero,
};

/// A function of the family: where its arguments are, and what it takes.
#[derive(Clone, Copy)]
struct Gup {
    id: u32,
    act: Act,
    /// Index of `gup_flags`; `None` for functions without.
    flags: Option<usize>,
    /// Index of the page (or folio) array, or of the folio itself.
    pages: usize,
    shape: Shape,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// Fills an array, returns how many entries; zero or less means none.
    Array,
    /// Pins the folio given, once; returns nothing.
    Folio,
    /// Pins the folio given as often as argument 1 says; returns 0 on success.
    FolioTimes,
}

impl Gup {
    /// Whether a call with these flags can roll pins back itself, by a function
    /// that is hooked.
    #[inline(always)]
    fn can_roll_back(self, flags: u32) -> bool {
        if self.act != Act::Pin || self.shape != Shape::Array {
            return false;
        }
        // Without flags it is `memfd_pin_folios()`, which is longterm. On the kernels
        // that do not say which flag that is, the fast path can roll back as well.
        let longterm = layout!(foll_longterm);
        self.flags.is_none() || longterm == ABSENT || flags & longterm != 0
    }
}

/// Called by the fast and unlocked variants on 5.10 and 6.1, where calls nest, and so
/// the only function that may be entered inside another one.
const NESTS: u32 = id("get_user_pages_unlocked");

/// Whether a kretprobe can unwind the stack of the call that returned, which is
/// better: then it is done for those calls only that took something. Since Linux
/// 5.16 (`arch_kretprobe_fixup_return`, `unwind_recover_rethook`).
const UNWINDS_AT_RETURN: bool = cfg!(not(feature = "baseline"));

/// How many arguments each function has on this kernel, filled by the agent before
/// loading: what a call returned lies behind them.
#[unsafe(no_mangle)]
static GUP_ARGUMENTS: [u32; GUP_FUNCTIONS.len()] = [0; GUP_FUNCTIONS.len()];

#[inline(always)]
fn arguments(gup: Gup) -> u32 {
    // SAFETY: a static, and the id is inside it.
    unsafe {
        (&raw const GUP_ARGUMENTS)
            .cast::<u32>()
            .add(gup.id as usize)
            .read_volatile()
    }
}

/// Place of a function in [`GUP_FUNCTIONS`].
const fn id(symbol: &str) -> u32 {
    place(symbol, &GUP_FUNCTIONS) as u32
}

/// The call begins. The thread's entry, if this is the outermost call.
#[inline(always)]
fn enter(gup: Gup, args: &impl Args) -> Option<*mut Thread> {
    let tid = task::tid();
    let Some((thread, outer)) = threads::enter(tid, gup.id) else {
        counters::lose(Lost::THREADS_FULL, 1);
        return None;
    };
    if let Some(outer) = outer {
        if is_inner(gup, outer) {
            return None;
        }
        take_over(gup, tid, thread, outer);
    }
    let (pages, flags) = given(gup, args);
    // SAFETY: the entry is this thread's while it is inside a call.
    unsafe {
        (*thread).pages = pages;
        (*thread).flags = flags;
    }
    if gup.can_roll_back(flags) {
        rollback::begins(thread, rollback::CALL);
    }
    Some(thread)
}

/// Whether the outer call counts what this one takes.
#[inline(always)]
fn is_inner(gup: Gup, outer: u32) -> bool {
    layout!(calls_nest) != 0 && gup.id == NESTS && outer != NESTS
}

/// Nothing else nests: what the thread seems to be inside of has returned unseen.
#[inline(always)]
fn take_over(gup: Gup, tid: u32, thread: *mut Thread, outer: u32) {
    // That one is no call, and is in `hook_missed`.
    if outer != rollback::ROLLBACK {
        counters::lose(Lost::RETURN_MISSED, 1);
    }
    rollback::ends(thread);
    Thread::enter(thread, tid, gup.id);
}

/// The array (or folio) and the flags of a call.
#[inline(always)]
fn given(gup: Gup, args: &impl Args) -> (u64, u32) {
    let flags = match (gup.shape, gup.flags) {
        (Shape::FolioTimes, _) => args.number(1) as u32,
        (_, Some(index)) => args.number(index) as u32,
        (_, None) => 0,
    };
    (args.arg(gup.pages), flags)
}

/// A call that has returned.
struct Call {
    /// The thread's entry; none where there was no room for one.
    thread: Option<*mut Thread>,
    pages: u64,
    flags: u32,
}

impl Call {
    /// The outermost call that this is the return of.
    ///
    /// Its entry was seen where its arguments are gone by now and where calls nest.
    /// Else it is only now that the thread needs its entry.
    #[inline(always)]
    fn of(gup: Gup, tid: u32, args: Option<&impl Args>) -> Option<Self> {
        let Some(args) = args.filter(|_| layout!(calls_nest) == 0) else {
            return Self::entered(gup, tid);
        };
        let (pages, flags) = given(gup, args);
        let thread = match threads::enter(tid, gup.id) {
            None => None,
            Some((thread, None)) => Some(thread),
            Some((thread, Some(outer))) if outer == gup.id => {
                rollback::ends(thread);
                Some(thread)
            }
            // An NMI's, on top of whatever has the entry.
            Some(_) if in_interrupt() => None,
            Some((thread, Some(outer))) => {
                take_over(gup, tid, thread, outer);
                Some(thread)
            }
        };
        if let Some(thread) = thread {
            // SAFETY: the entry is this thread's while it is inside a call.
            unsafe { (*thread).flags = flags };
        }
        Some(Self {
            thread,
            pages,
            flags,
        })
    }

    /// The same of a call whose entry was seen.
    #[inline(always)]
    fn entered(gup: Gup, tid: u32) -> Option<Self> {
        let thread = threads::of(tid)?;
        if !Thread::is_inside(thread, tid, gup.id) {
            return None;
        }
        rollback::ends(thread);
        // SAFETY: as above.
        let (pages, flags) = unsafe { ((*thread).pages, (*thread).flags) };
        Some(Self {
            thread: Some(thread),
            pages,
            flags,
        })
    }

    /// Not before the owner is known: an idle entry may be another thread's at once.
    #[inline(always)]
    fn end(&self, tid: u32) {
        if let Some(thread) = self.thread {
            Thread::leave(thread, tid);
        }
    }
}

/// The call ends. What it took is booked to its owner.
#[inline(always)]
fn leave(
    gup: Gup,
    returned: i32,
    args: Option<&impl Args>,
    owner: impl Fn(*mut Thread, Me) -> Found,
) -> u32 {
    let me = task::me();
    let tid = me.tid();
    let Some(call) = Call::of(gup, tid, args) else {
        return 0;
    };
    let Call { pages, flags, .. } = call;
    let none = gup.shape == Shape::Array && returned <= 0
        || gup.shape == Shape::FolioTimes && returned != 0;
    // Without an array the call only faults pages in and takes no reference.
    if pages == 0 || none {
        call.end(tid);
        return 0;
    }
    if gup.act == Act::Get && returned == 1 && pages::is_one_anonymous(pages) {
        call.end(tid);
        counters::add_and_count(
            1,
            offset_of!(CpuCounters, pages_referenced),
            offset_of!(CpuCounters, gup_calls),
        );
        return 0;
    }
    let returned = match gup.act {
        // To the verifier any number again, which it would follow once more if it
        // were 1.
        Act::Get => returned + unknown_zero() as i32,
        _ => returned,
    };
    let found = call.thread.map_or(Found::NOBODY, |it| owner(it, me));
    let owner = found.owner;
    call.end(tid);
    let taken = match gup.shape {
        Shape::Array if gup.act == Act::Pin && returned == 1 && small::pinned_one(pages, owner) => {
            1
        }
        Shape::Array => pages::walk_array(pages, returned as u64, gup.act, owner),
        Shape::Folio => pages::one(pages, 1, gup.act, owner),
        Shape::FolioTimes => pages::one(pages, u64::from(flags), gup.act, owner),
    };
    if taken == 0 {
        return 0;
    }
    let total = if gup.act == Act::Pin {
        offset_of!(CpuCounters, pages_pinned)
    } else {
        offset_of!(CpuCounters, pages_referenced)
    };
    counters::add_and_count(taken, total, offset_of!(CpuCounters, gup_calls));
    found.took(taken);
    0
}

/// The four entries of one function.
macro_rules! gup {
    ($symbol:ident, $act:expr, $flags:expr, $pages:expr, $shape:expr) => {
        paste! {
            const [<$symbol:upper>]: Gup = Gup {
                id: id(stringify!($symbol)),
                act: $act,
                flags: $flags,
                pages: $pages,
                shape: $shape,
            };

            #[kprobe]
            fn [<$symbol _kprobe>](ctx: ProbeContext) -> u32 {
                let entered = enter([<$symbol:upper>], &ctx);
                if let Some(thread) = entered && !UNWINDS_AT_RETURN {
                    identify(&ctx, thread, [<$symbol:upper>].id, task::me());
                }
                0
            }

            #[kretprobe]
            fn [<$symbol _kretprobe>](ctx: RetProbeContext) -> u32 {
                let args = None::<&ProbeContext>;
                leave([<$symbol:upper>], ctx.ret::<i32>(), args, |thread, me| {
                    if UNWINDS_AT_RETURN {
                        identify(&ctx, thread, [<$symbol:upper>].id, me)
                    } else {
                        settle(thread)
                    }
                })
            }

            #[fentry]
            fn [<$symbol _fentry>](ctx: FEntryContext) -> u32 {
                enter([<$symbol:upper>], &ctx);
                0
            }

            #[fexit]
            fn [<$symbol _fexit>](ctx: FExitContext) -> u32 {
                let returned = match $shape {
                    Shape::Folio => 0,
                    _ => returned(&ctx, arguments([<$symbol:upper>])),
                };
                leave([<$symbol:upper>], returned, Some(&ctx), |thread, me| {
                    identify(&ctx, thread, [<$symbol:upper>].id, me)
                })
            }
        }
    };
}

/// Those of every function.
macro_rules! programs {
    ($({ $symbol:ident, $act:ident, $shape:ident $arguments:tt, $test:expr })*) => {
        $(programs!(@$shape $arguments $symbol, Act::$act);)*
    };
    (@Pages { flags: $flags:literal, array: $pages:literal } $symbol:ident, $act:expr) => {
        gup!($symbol, $act, Some($flags), $pages, Shape::Array);
    };
    (@Folios { array: $folios:literal } $symbol:ident, $act:expr) => {
        gup!($symbol, $act, None, $folios, Shape::Array);
    };
    (@Folio { folio: $folio:literal } $symbol:ident, $act:expr) => {
        gup!($symbol, $act, None, $folio, Shape::Folio);
    };
    (@FolioTimes { folio: $folio:literal, times: 1 } $symbol:ident, $act:expr) => {
        gup!($symbol, $act, None, $folio, Shape::FolioTimes);
    };
}

gup_functions!(programs);
