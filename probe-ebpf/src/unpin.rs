//! Release: every function that gives `FOLL_PIN` references back.

use core::mem::offset_of;

use aya_ebpf::{
    macros::{fentry, kprobe},
    programs::{FEntryContext, ProbeContext},
};
use pastey::paste;
use probe_abi::{CpuCounters, release_functions};

use crate::{
    book::{
        counters,
        threads::{self, Thread},
    },
    booking::{pages, run::Act, small::Small},
    fallback,
    kernel::{args::Args, interrupt::in_interrupt, task, typed::Typed},
    rollback,
};

/// How a function says what it releases.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// `(page)` or `(folio)`: one reference.
    One,
    /// `(folio, n)`: n references on it.
    Times,
    /// `(pages, n)`: an array of pages or folios.
    Array,
    /// `(pages, n, make_dirty)`: an array. With `make_dirty` false the function
    /// is a tail call of the one above, which counts.
    DirtyArray,
    /// `(page, n, make_dirty)`: pages side by side.
    Range,
}

/// `counters` are this CPU's; `found` is the folio that the first argument is, if it
/// is a small one.
#[inline(always)]
fn release(
    counters: *mut CpuCounters,
    shape: Shape,
    args: &impl Args,
    found: impl Fn() -> Option<Small>,
) -> u32 {
    if shape == Shape::DirtyArray && args.number(2) & 0xff == 0 {
        return 0;
    }
    let rolled_back = inside_a_pin();
    let n = match shape {
        Shape::One => 1,
        Shape::Times | Shape::Array | Shape::DirtyArray | Shape::Range => args.number(1),
    };
    if rolled_back {
        let n = match shape {
            Shape::Array | Shape::DirtyArray => rollback::left_in(args.arg(0), n),
            Shape::One | Shape::Times | Shape::Range => n,
        };
        counters::rarely(n, offset_of!(CpuCounters, pages_rolled_back));
        return 0;
    }
    let released = match shape {
        Shape::One | Shape::Times => {
            // Nearly always that is all of them.
            let known = found().map_or(0, |it| it.unpin(n));
            if known == n {
                n
            } else {
                known + pages::one(args.arg(0), n - known, Act::Unpin, 0)
            }
        }
        Shape::Array | Shape::DirtyArray => pages::walk_array(args.arg(0), n, Act::Unpin, 0),
        Shape::Range => pages::walk_range(args.arg(0), n, Act::Unpin),
    };
    counters::add_and_count_to(
        counters,
        released,
        offset_of!(CpuCounters, pages_released),
        offset_of!(CpuCounters, release_calls),
    );
    0
}

/// What the first argument is, typed: the folio itself, or a page that may be any.
#[inline(always)]
fn small_at(shape: Shape, first: Typed) -> Option<Small> {
    match shape {
        Shape::Times => Small::of_head(first),
        _ => Small::of(first),
    }
}

/// The small folio at the address that the first argument is.
#[inline(always)]
fn small(shape: Shape, args: &impl Args) -> Option<Small> {
    Typed::page_at(args.arg(0)).and_then(|it| small_at(shape, it))
}

/// A release as it comes, nothing known of it yet.
#[inline(always)]
fn release_any(shape: Shape, args: &impl Args) -> u32 {
    match counters::of_this_cpu() {
        Some(counters) => release(counters, shape, args, || small(shape, args)),
        None => 0,
    }
}

/// Whether the kernel rolls back its own pins here: inside a pin call of the same
/// thread, and not in an interrupt that came in on top of it.
#[inline(always)]
fn inside_a_pin() -> bool {
    if !rollback::may_be() {
        return false;
    }
    let Some(thread) = threads::of(task::tid()) else {
        return false;
    };
    // SAFETY: a map value, aligned and alive.
    Thread::inside(thread).is_some() && unsafe { (*thread).rolls_back } != 0 && !in_interrupt()
}

/// The two entries of one function.
macro_rules! unpin {
    ($symbol:ident, $shape:expr) => {
        paste! {
            #[kprobe]
            fn [<$symbol _kprobe>](ctx: ProbeContext) -> u32 {
                release_any($shape, &ctx)
            }

            #[fentry]
            fn [<$symbol _fentry>](ctx: FEntryContext) -> u32 {
                release_any($shape, &ctx)
            }
        }
    };
}

/// The entries of one that releases one folio and that interrupts call too.
macro_rules! unpin_one {
    ($symbol:ident, $shape:expr) => {
        paste! {
            const [<$symbol:upper _NOTES>]: usize = fallback::function(stringify!($symbol));

            #[kprobe]
            fn [<$symbol _kprobe>](ctx: ProbeContext) -> u32 {
                fallback::note_by_kprobe(&ctx);
                release_any($shape, &ctx)
            }

            #[fentry]
            fn [<$symbol _fentry>](ctx: FEntryContext) -> u32 {
                let Some(counters) = counters::of_this_cpu() else {
                    return 0;
                };
                fallback::note(counters, [<$symbol:upper _NOTES>], &ctx);
                // The argument is typed as it is.
                release(counters, $shape, &ctx, || small_at($shape, Typed::arg(&ctx, 0)))
            }

            #[cfg(not(feature = "baseline"))]
            #[fentry]
            fn [<$symbol _fallback>](ctx: FEntryContext) -> u32 {
                let Some(counters) = counters::of_this_cpu() else {
                    return 0;
                };
                if fallback::was_skipped(counters, [<$symbol:upper _NOTES>], &ctx) {
                    [<make_up_ $symbol>](&ctx);
                }
                0
            }

            /// Apart, so that a run with nothing to do saves no registers.
            #[cfg(not(feature = "baseline"))]
            #[inline(never)]
            fn [<make_up_ $symbol>](ctx: &FEntryContext) -> u32 {
                if fallback::is_to_be_made_up([<$symbol:upper _NOTES>], ctx) {
                    release_any($shape, ctx);
                }
                0
            }
        }
    };
}

/// What the shape of a row is here.
macro_rules! shape {
    (Page) => {
        Shape::One
    };
    (Folio) => {
        Shape::One
    };
    (FolioTimes) => {
        Shape::Times
    };
    (PageArray) => {
        Shape::Array
    };
    (FolioArray) => {
        Shape::Array
    };
    (DirtyPageArray) => {
        Shape::DirtyArray
    };
    (PageRange) => {
        Shape::Range
    };
}

/// The entries of every function.
macro_rules! programs {
    ($({ $symbol:ident, $shape:ident, $callers:ident, $test:expr })*) => {
        $(programs!(@$callers $symbol, shape!($shape));)*
    };
    (@Tasks $symbol:ident, $shape:expr) => {
        unpin!($symbol, $shape);
    };
    (@Interrupts $symbol:ident, $shape:expr) => {
        unpin_one!($symbol, $shape);
    };
}

release_functions!(programs);
