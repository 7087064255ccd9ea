//! GUP: every call that takes references on user pages.
//!
//! Counted at the exported functions, outermost call only: inside, fast and
//! slow path both run, retry and undo. What a call returned is what was taken.

use core::mem::offset_of;

use aya_ebpf::{
    macros::{fentry, fexit, kprobe, kretprobe},
    programs::{FEntryContext, FExitContext, ProbeContext, RetProbeContext},
};
use pastey::paste;
use probe_abi::{CpuCounters, Lost};

use crate::{
    args::Args,
    context::{self, GupCall},
    counters,
    pages::{self, Act},
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

/// Called by the fast and unlocked variants on 5.10 and 6.1, and so the only
/// function that may be entered inside another one.
const NESTS: u32 = 4;

#[inline(always)]
fn enter(gup: Gup, args: &impl Args) -> u32 {
    let tid = context::tid();
    if let Some(outer) = context::gup_call(tid) {
        if gup.id == NESTS && outer.function != NESTS {
            return 0;
        }
        // Nothing else nests: the outer call's return was missed.
        counters::lose(Lost::RETURN_MISSED, 1);
    }
    let flags = match (gup.shape, gup.flags) {
        (Shape::FolioTimes, _) => args.arg(1) as u32,
        (_, Some(index)) => args.arg(index) as u32,
        (_, None) => 0,
    };
    let pages = args.arg(gup.pages);
    context::enter_gup(
        tid,
        &GupCall {
            pages,
            function: gup.id,
            flags,
        },
    );
    0
}

#[inline(always)]
fn leave(gup: Gup, returned: i32) -> u32 {
    let tid = context::tid();
    let Some(call) = context::gup_call(tid) else {
        return 0;
    };
    if call.function != gup.id {
        return 0;
    }
    context::leave_gup(tid);
    // Without an array the call only faults pages in and takes no reference.
    if call.pages == 0 {
        return 0;
    }
    let taken = match gup.shape {
        Shape::Array if returned > 0 => pages::walk_array(call.pages, returned as u64, gup.act),
        Shape::Folio => pages::one(call.pages, 1, gup.act),
        Shape::FolioTimes if returned == 0 => {
            pages::one(call.pages, u64::from(call.flags), gup.act)
        }
        Shape::Array | Shape::FolioTimes => 0,
    };
    if taken == 0 {
        return 0;
    }
    let total = if gup.act == Act::Pin {
        offset_of!(CpuCounters, pages_pinned)
    } else {
        offset_of!(CpuCounters, pages_referenced)
    };
    counters::add(taken, total);
    counters::add(1, offset_of!(CpuCounters, gup_calls));
    0
}

/// The four entries of one function.
macro_rules! gup {
    ($symbol:ident, $gup:expr) => {
        paste! {
            #[kprobe]
            fn [<$symbol _kprobe>](ctx: ProbeContext) -> u32 {
                enter($gup, &ctx)
            }

            #[kretprobe]
            fn [<$symbol _kretprobe>](ctx: RetProbeContext) -> u32 {
                leave($gup, ctx.ret::<i32>())
            }

            #[fentry]
            fn [<$symbol _fentry>](ctx: FEntryContext) -> u32 {
                enter($gup, &ctx)
            }

            #[fexit]
            fn [<$symbol _fexit>](ctx: FExitContext) -> u32 {
                leave($gup, ctx.ret::<i32>().unwrap_or(0))
            }
        }
    };
}

/// `(.., flags, pages, ..)` at the given places.
const fn array(id: u32, act: Act, flags: usize, pages: usize) -> Gup {
    Gup {
        id,
        act,
        flags: Some(flags),
        pages,
        shape: Shape::Array,
    }
}

gup!(get_user_pages, array(0, Act::Get, 2, 3));
gup!(get_user_pages_fast, array(1, Act::Get, 2, 3));
gup!(get_user_pages_fast_only, array(2, Act::Get, 2, 3));
gup!(get_user_pages_remote, array(3, Act::Get, 3, 4));
gup!(get_user_pages_unlocked, array(NESTS, Act::Get, 3, 2));
gup!(get_user_pages_locked, array(5, Act::Get, 2, 3));
gup!(pin_user_pages, array(6, Act::Pin, 2, 3));
gup!(pin_user_pages_fast, array(7, Act::Pin, 2, 3));
gup!(pin_user_pages_fast_only, array(8, Act::Pin, 2, 3));
gup!(pin_user_pages_remote, array(9, Act::Pin, 3, 4));
gup!(pin_user_pages_unlocked, array(10, Act::Pin, 3, 2));
gup!(pin_user_pages_locked, array(11, Act::Pin, 2, 3));
gup!(
    memfd_pin_folios,
    Gup {
        id: 12,
        act: Act::Pin,
        flags: None,
        pages: 3,
        shape: Shape::Array
    }
);
gup!(
    folio_add_pin,
    Gup {
        id: 13,
        act: Act::Pin,
        flags: None,
        pages: 0,
        shape: Shape::Folio
    }
);
gup!(
    folio_add_pins,
    Gup {
        id: 14,
        act: Act::Pin,
        flags: None,
        pages: 0,
        shape: Shape::FolioTimes
    }
);
