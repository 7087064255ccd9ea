//! The second program on a release, for calls that the first one was kept from.
//!
//! The kernel skips an fentry program that is at work on the same CPU already, because
//! the call is nested: a completion interrupt came in on top of it, or another task
//! (`prog->active`, Linux 5.12, commit ca06f55b9002). So functions that interrupts call
//! have two programs, which run one after the other. The first leaves a note of the
//! call. The second takes the note away; where there is none, the first did not run,
//! and it does the work.
//!
//! Where a task may lose its CPU inside a program, the first one is a kprobe: no other task
//! keeps it from running, and what does, an interrupt on top of a kprobe, does not keep the
//! second one. Where a task keeps its CPU, the first one is fentry as well, which costs less.
//!
//! A call may find both of them at work: that takes an interrupt on top of an interrupt on
//! top of a task, or on top of one task in a kprobe that took the CPU from another one in the
//! second program. It is counted (`hook_missed`). And a note may
//! stay, where a first program ran and its second one was skipped: the next call of a task
//! clears that up. Until then an interrupt's call may be taken for the one that left it, and
//! its release is missed. The audit heals that. How the notes are kept is [`ledger::nested`].

#[cfg(not(feature = "baseline"))]
use core::mem::offset_of;

use aya_ebpf::{EbpfContext, helpers::generated::bpf_get_current_task, macros::map, maps::Array};
use ledger::nested::{self, Notes};
use probe_abi::{CpuCounters, INTERRUPTED, NESTED_CALLS, NestedCalls, place};

#[cfg(not(feature = "baseline"))]
use crate::book::counters;
use crate::{
    kernel::{
        interrupt::{in_task, nesting},
        layout::layout,
    },
    verifier::{
        atomic::{load, swap},
        unknown::{number, opaque},
    },
};

/// Calls that are noted where a task may lose its CPU between the two programs; a power
/// of two.
const NOTES: u32 = 16_384;

/// Places at which a call may be noted.
const WAYS: u32 = 4;

/// Calls that the first program has dealt with and the second has not come to.
#[map]
static NOTED_CALLS: Array<u64> = Array::with_max_entries(NOTES, 0);

/// The number of a function that has two programs.
pub(crate) const fn function(symbol: &str) -> usize {
    place(symbol, INTERRUPTED)
}

/// The first program deals with this call. Before Linux 5.12, where the `baseline` flavour
/// runs, nothing is skipped, and there is no second one.
#[inline(always)]
pub(crate) fn note(counters: *mut CpuCounters, function: usize, ctx: &impl EbpfContext) {
    if cfg!(feature = "baseline") {
        return;
    }
    if layout!(preemptible) == 0 {
        nested::push(Nested::of(counters, function), address(ctx));
    } else {
        keep(ctx);
    }
}

/// The same by a kprobe, which is the first program where a task may lose its CPU.
#[inline(always)]
pub(crate) fn note_by_kprobe(ctx: &impl EbpfContext) {
    if !cfg!(feature = "baseline") && layout!(preemptible) != 0 {
        keep(ctx);
    }
}

/// Whether the first program was kept from this call. The second one takes its note away.
#[cfg(not(feature = "baseline"))]
#[inline(always)]
pub(crate) fn was_skipped(
    counters: *mut CpuCounters,
    function: usize,
    ctx: &impl EbpfContext,
) -> bool {
    if layout!(preemptible) == 0 {
        !nested::pop(Nested::of(counters, function), address(ctx))
    } else {
        !take(ctx)
    }
}

/// Whether it was so indeed, looked at more closely; then it is counted.
#[cfg(not(feature = "baseline"))]
#[inline(always)]
pub(crate) fn is_to_be_made_up(function: usize, ctx: &impl EbpfContext) -> bool {
    let Some(counters) = counters::of_this_cpu() else {
        return false;
    };
    if layout!(preemptible) == 0
        && nested::was_dealt_with(Nested::of(counters, function), address(ctx))
    {
        return false;
    }
    counters::rarely(1, offset_of!(CpuCounters, fallback_runs));
    true
}

/// By what a call is noted where a task keeps its CPU: its context's address, which is on the
/// stack, and so no other call's at that moment.
#[inline(always)]
fn address(ctx: &impl EbpfContext) -> u64 {
    number(ctx.as_ptr().cast())
}

/// The notes of a function's calls on this CPU, where a task keeps it: then they are a stack.
#[derive(Clone, Copy)]
struct Nested(*mut NestedCalls);

impl Nested {
    /// Those among the CPU's counters of the function that is at that place of [`INTERRUPTED`].
    #[inline(always)]
    fn of(counters: *mut CpuCounters, function: usize) -> Self {
        // SAFETY: inside the value.
        let nested = unsafe { &raw mut (*counters).nested }.cast::<NestedCalls>();
        // SAFETY: inside the array: callers pass what `function` returned.
        Self(unsafe { nested.add(function) })
    }

    #[inline(always)]
    fn word(self, place: u64) -> *mut u64 {
        // SAFETY: masked to be inside the array.
        unsafe {
            (&raw mut (*self.0).calls)
                .cast::<u64>()
                .add(place as usize & (NESTED_CALLS - 1))
        }
    }
}

impl Notes for Nested {
    #[inline(always)]
    fn note(self, place: u64) -> u64 {
        load(self.word(place))
    }

    #[inline(always)]
    fn set_note(self, place: u64, call: u64) {
        // SAFETY: a map value, aligned and alive; only this CPU changes it.
        unsafe { self.word(place).write_volatile(call) };
    }

    #[inline(always)]
    fn height(self) -> u64 {
        // SAFETY: a map value, aligned and alive.
        load(unsafe { &raw const (*self.0).height })
    }

    #[inline(always)]
    fn set_height(self, height: u64) {
        // SAFETY: as above.
        unsafe { (&raw mut (*self.0).height).write_volatile(height) };
    }

    #[inline(always)]
    fn is_a_tasks(self) -> bool {
        in_task()
    }

    #[inline(always)]
    fn opaque(self, number: u64) -> u64 {
        opaque(number)
    }
}

// Where a task may lose its CPU, and go on on another one, between the two programs, notes
// are kept by who calls, for all CPUs: a task, or an interrupt of some kind on top of it, is at
// one call at a time. One that has no room takes another's
// place, which is then dealt with twice: that takes as many calls between two programs
// at once as there are places.

/// A kprobe and fentry have contexts of their own: the address does where both are fentry, as
/// they are where the kernel does not show what is on top of a task.
#[inline(always)]
fn caller(ctx: &impl EbpfContext) -> u64 {
    match nesting() {
        // SAFETY: the helper has no precondition. Tasks are aligned to a cache line.
        Some(nesting) => nesting | unsafe { bpf_get_current_task() },
        None => address(ctx),
    }
}

/// The first place at which a call may be noted.
#[inline(always)]
fn first_place(caller: u64) -> u32 {
    (caller.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u32
}

#[inline(always)]
fn place_of(first: u32, way: u32) -> Option<*mut u64> {
    NOTED_CALLS.get_ptr_mut(first.wrapping_add(way) & (NOTES - 1))
}

#[inline(always)]
fn keep(ctx: &impl EbpfContext) {
    let caller = caller(ctx);
    let first = first_place(caller);
    for way in 0..WAYS {
        let Some(place) = place_of(first, way) else {
            return;
        };
        let old = load(place);
        if old == caller || old == 0 && swap(place, 0, caller) {
            return;
        }
    }
    if let Some(place) = place_of(first, 0) {
        // SAFETY: a map value, aligned and alive.
        unsafe { place.write_volatile(caller) };
    }
}

#[cfg(not(feature = "baseline"))]
#[inline(always)]
fn take(ctx: &impl EbpfContext) -> bool {
    let caller = caller(ctx);
    let first = first_place(caller);
    for way in 0..WAYS {
        let Some(place) = place_of(first, way) else {
            return false;
        };
        if load(place) == caller {
            // SAFETY: as above; nobody else takes this call's note.
            unsafe { place.write_volatile(0) };
            return true;
        }
    }
    false
}
