//! Pin calls under way in which the kernel rolls pins back itself: longterm ones,
//! whose folios lie where they must not stay.
//!
//! Hardly ever is there one, and a release need not ask then which call it is in.
//! Where the entry of a call is seen, each that may come to that counts as one;
//! elsewhere the function that rolls back is hooked. On kernels that do not say
//! which flag is longterm, every call may be one; they are not counted, and the agent sets
//! the number to one for good: a release always asks.

use aya_ebpf::{
    macros::{fentry, fexit, kprobe, kretprobe},
    programs::{FEntryContext, FExitContext, ProbeContext, RetProbeContext},
};
use probe_abi::{ABSENT, GUP_FUNCTIONS, Lost};

use crate::{
    book::{
        counters,
        threads::{self, Thread},
    },
    kernel::{layout::layout, task},
    verifier::atomic::{load, xadd},
};
#[cfg(not(feature = "baseline"))]
use crate::{
    kernel::read::read_word,
    verifier::{
        repeat::{repeat, steps},
        scratch::{Kept, Raw, hand_back, kept, lend, passed},
        unknown::unknown_zero,
    },
};

/// What a thread is inside of that rolls pins back in a call whose entry was not seen.
pub(crate) const ROLLBACK: u32 = GUP_FUNCTIONS.len() as u32;

// Who says of a thread that it may roll pins back, and will say that it is over.

/// Nobody.
const NOBODY: u64 = 0;
/// The pin call.
pub(crate) const CALL: u64 = 1;
/// The function that rolls back.
const FUNCTION: u64 = 2;

/// A number that many CPUs may change, away from what all of them read.
#[repr(C)]
struct Apart {
    before: [u64; 8],
    calls: u64,
    after: [u64; 7],
}

// Initialised data, which the agent can fill before loading.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".data.rollbacks")]
static mut ROLLBACKS: Apart = Apart {
    before: [0; 8],
    calls: 0,
    after: [0; 7],
};

/// Its address.
#[inline(always)]
fn calls() -> *mut u64 {
    // SAFETY: a static, of which nothing is read.
    unsafe { &raw mut ROLLBACKS.calls }
}

/// The thread may roll pins back from now on; `who` says so, unless somebody did.
#[inline(always)]
pub(crate) fn begins(thread: *mut Thread, who: u64) {
    // SAFETY: the entry is this thread's while it is inside a call.
    let rolls_back = unsafe { &mut (*thread).rolls_back };
    if *rolls_back != NOBODY {
        return;
    }
    *rolls_back = who;
    if layout!(foll_longterm) != ABSENT {
        xadd(calls(), 1);
    }
}

/// And no longer.
#[inline(always)]
pub(crate) fn ends(thread: *mut Thread) {
    // SAFETY: as above.
    let rolls_back = unsafe { &mut (*thread).rolls_back };
    if *rolls_back == NOBODY {
        return;
    }
    *rolls_back = NOBODY;
    if layout!(foll_longterm) != ABSENT {
        xadd(calls(), 1_u64.wrapping_neg());
    }
}

/// Whether there may be any.
#[inline(always)]
pub(crate) fn may_be() -> bool {
    load(calls()) != 0
}

/// How many of an array of `n` pointers are any: of an array that the kernel rolls back, it
/// has cleared what it released before (since Linux 6.11).
#[cfg(not(feature = "baseline"))]
#[inline(always)]
pub(crate) fn left_in(array: u64, n: u64) -> u64 {
    let mut pointers = Pointers {
        at: array,
        left: unknown_zero(),
    };
    let Some(pointers) = lend(&mut pointers) else {
        return n;
    };
    repeat(steps(n), next_pointer, pointers.raw());
    let left = pointers.left;
    hand_back(pointers);
    left
}

/// Older kernels clear none.
#[cfg(feature = "baseline")]
#[inline(always)]
pub(crate) fn left_in(_array: u64, n: u64) -> u64 {
    n
}

/// An array that is being counted.
#[cfg(not(feature = "baseline"))]
#[repr(C)]
struct Pointers {
    at: u64,
    left: u64,
}

#[cfg(not(feature = "baseline"))]
kept!(Pointers, POINTERS_CELLS);

#[cfg(not(feature = "baseline"))]
extern "C" fn next_pointer(_index: u64, pointers: Raw) -> i64 {
    let Some(pointers) = passed::<Pointers>(pointers) else {
        return 1;
    };
    pointers.left += u64::from(read_word(pointers.at).is_some_and(|it| it != 0));
    pointers.at += 8;
    0
}

/// The kernel begins to roll pins back. Where the call's entry was seen and says so too,
/// that stands.
#[inline(always)]
fn enter() -> u32 {
    match threads::enter(task::tid(), ROLLBACK) {
        Some((thread, _)) => begins(thread, FUNCTION),
        None => counters::lose(Lost::THREADS_FULL, 1),
    }
    0
}

#[inline(always)]
fn leave() -> u32 {
    let tid = task::tid();
    let Some(thread) = threads::of(tid) else {
        return 0;
    };
    // SAFETY: as above.
    if unsafe { (*thread).rolls_back } == FUNCTION {
        ends(thread);
    }
    if Thread::is_inside(thread, tid, ROLLBACK) {
        Thread::leave(thread, tid);
    }
    0
}

#[kprobe]
fn rollback_kprobe(_ctx: ProbeContext) -> u32 {
    enter()
}

#[kretprobe]
fn rollback_kretprobe(_ctx: RetProbeContext) -> u32 {
    leave()
}

#[fentry]
fn rollback_fentry(_ctx: FEntryContext) -> u32 {
    enter()
}

#[fexit]
fn rollback_fexit(_ctx: FExitContext) -> u32 {
    leave()
}
