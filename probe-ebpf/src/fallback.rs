//! The second program on a release, for calls that the first one was kept from.
//!
//! The kernel skips an fentry program that is at work on the same CPU already, because
//! the call is nested: a completion interrupt came in on top of it, or another task
//! (`prog->active`, Linux 5.12, commit ca06f55b9002). So functions that interrupts call
//! have two programs, which run one after the other. The first leaves a note of the
//! call, by its context's address, which is on the stack and so no other call's at that
//! moment. The second takes the note away; where there is none, the first did not run,
//! and it does the work.
//!
//! Exact whatever is interrupted where, as long as a call does not find both of them at
//! work: that takes an interrupt on top of an interrupt on top of a task, each in one
//! of these programs. It is counted (`hook_missed`).

use core::mem::offset_of;

use aya_ebpf::{EbpfContext, macros::map, maps::Array};
use probe_abi::{CpuCounters, NESTED_CALLS};

#[cfg(not(feature = "baseline"))]
use crate::book::counters;
use crate::{
    kernel::layout::layout,
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

/// The first program deals with this call. Before Linux 5.12, where the `baseline` flavour
/// runs, nothing is skipped, and there is no second one.
#[inline(always)]
pub(crate) fn note(counters: *mut CpuCounters, ctx: &impl EbpfContext) {
    if cfg!(feature = "baseline") {
        return;
    }
    if layout!(preemptible) == 0 {
        push(counters, ctx);
    } else {
        keep(ctx);
    }
}

/// Whether the first program was kept from this call. The second one takes its note away.
#[cfg(not(feature = "baseline"))]
#[inline(always)]
pub(crate) fn was_skipped(counters: *mut CpuCounters, ctx: &impl EbpfContext) -> bool {
    if layout!(preemptible) == 0 {
        !pop(counters, ctx)
    } else {
        !take(ctx)
    }
}

/// Whether it was so indeed, looked at more closely; then it is counted.
#[cfg(not(feature = "baseline"))]
#[inline(always)]
pub(crate) fn is_to_be_made_up(ctx: &impl EbpfContext) -> bool {
    let Some(counters) = counters::of_this_cpu() else {
        return false;
    };
    if layout!(preemptible) == 0 && pop_below(counters, ctx) {
        return false;
    }
    counters::add(1, offset_of!(CpuCounters, fallback_runs));
    true
}

/// By what a call is noted.
#[inline(always)]
fn address(ctx: &impl EbpfContext) -> u64 {
    number(ctx.as_ptr().cast())
}

// Where a task keeps its CPU, calls of one CPU are nested and nothing else: the notes are
// a stack. It is never full: on top of a task are two kinds of interrupts and an NMI at
// most. So its last word is empty, and is what an empty stack has on top. Whatever comes
// in on top of one of the two programs leaves it as it was, but for a note that its own
// second program was kept from; that goes when the one below it does.

/// Words of the stack, and where its height is.
#[inline(always)]
fn stack(counters: *mut CpuCounters) -> (*mut u64, *mut u64) {
    let counters = counters.cast::<u8>();
    // SAFETY: inside the value.
    unsafe {
        (
            counters.add(offset_of!(CpuCounters, nested)).cast(),
            counters.add(offset_of!(CpuCounters, nested_height)).cast(),
        )
    }
}

#[inline(always)]
fn push(counters: *mut CpuCounters, ctx: &impl EbpfContext) {
    let (calls, height) = stack(counters);
    let at = opaque(load(height));
    // SAFETY: masked to be inside the array; only this CPU changes it.
    unsafe {
        calls
            .add(at as usize & (NESTED_CALLS - 1))
            .write_volatile(address(ctx));
        height.write_volatile(at + 1);
    }
}

/// Whether the call is on top, as it nearly always is; then it is so no longer.
#[cfg(not(feature = "baseline"))]
#[inline(always)]
fn pop(counters: *mut CpuCounters, ctx: &impl EbpfContext) -> bool {
    let (calls, height) = stack(counters);
    let at = opaque(load(height)).wrapping_sub(1);
    // SAFETY: as above.
    let top = unsafe { calls.add(at as usize & (NESTED_CALLS - 1)) };
    if load(top) != address(ctx) {
        return false;
    }
    // SAFETY: as above.
    unsafe { height.write_volatile(at) };
    true
}

/// The same of a call that may lie further below.
#[cfg(not(feature = "baseline"))]
#[inline(always)]
fn pop_below(counters: *mut CpuCounters, ctx: &impl EbpfContext) -> bool {
    let (calls, height) = stack(counters);
    let top = opaque(load(height));
    for below in 2..NESTED_CALLS as u64 {
        if below > top {
            break;
        }
        let at = opaque(top - below);
        // SAFETY: masked to be inside the array; only this CPU changes it.
        unsafe {
            if load(calls.add(at as usize & (NESTED_CALLS - 1))) == address(ctx) {
                height.write_volatile(at);
                return true;
            }
        }
    }
    false
}

// Where a task may lose its CPU, and go on on another one, between the two programs, notes
// are kept by the call's address, for all CPUs. One that has no room takes another's
// place, which is then dealt with twice: that takes as many calls between two programs
// at once as there are places.

/// The first place at which a call may be noted.
#[inline(always)]
fn first_place(address: u64) -> u32 {
    (address.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u32
}

#[inline(always)]
fn place(first: u32, way: u32) -> Option<*mut u64> {
    NOTED_CALLS.get_ptr_mut(first.wrapping_add(way) & (NOTES - 1))
}

#[inline(always)]
fn keep(ctx: &impl EbpfContext) {
    let address = address(ctx);
    let first = first_place(address);
    for way in 0..WAYS {
        let Some(place) = place(first, way) else {
            return;
        };
        let old = load(place);
        if old == address || old == 0 && swap(place, 0, address) {
            return;
        }
    }
    if let Some(place) = place(first, 0) {
        // SAFETY: a map value, aligned and alive.
        unsafe { place.write_volatile(address) };
    }
}

#[cfg(not(feature = "baseline"))]
#[inline(always)]
fn take(ctx: &impl EbpfContext) -> bool {
    let address = address(ctx);
    let first = first_place(address);
    for way in 0..WAYS {
        let Some(place) = place(first, way) else {
            return false;
        };
        if load(place) == address {
            // SAFETY: as above; nobody else takes this call's note.
            unsafe { place.write_volatile(0) };
            return true;
        }
    }
    false
}
