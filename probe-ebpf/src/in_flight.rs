//! Calls that pin and may sleep, while they are under way: the kernel counts their pins
//! as it takes them, the ledger when the call returns.
//!
//! All of the GUP family come to `__gup_longterm_locked()` before they wait for a page to
//! be brought in, before 6.2 some to `__get_user_pages_remote()` instead; what finds its
//! pages in the page tables does not, and pays nothing.

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE,
    helpers::bpf_get_current_pid_tgid,
    macros::{fentry, fexit, kprobe, kretprobe, map},
    maps::Array,
    programs::{FEntryContext, FExitContext, ProbeContext, RetProbeContext},
};
use probe_abi::{Call, Lost};

use crate::{
    book::counters,
    kernel::{args::Args, clock, task},
    verifier::atomic::{load, swap},
};

/// Entries that a thread may use.
const WAYS: u32 = 4;

/// The calls; the agent maps them.
#[map]
static CALLS: Array<Call> = Array::with_max_entries(probe_abi::CALLS as u32, BPF_F_MMAPABLE);

#[inline(always)]
fn entry(thread: u64, way: u32) -> Option<*mut Call> {
    let first = (thread as u32).wrapping_mul(WAYS + 1);
    CALLS.get_ptr_mut(first.wrapping_add(way) & (probe_abi::CALLS as u32 - 1))
}

#[inline(always)]
fn thread_of(call: *mut Call) -> *mut u64 {
    // SAFETY: a map value, aligned and alive.
    unsafe { &raw mut (*call).thread }
}

#[inline(always)]
fn enter(pages: u64) -> u32 {
    let thread = bpf_get_current_pid_tgid();
    let Some(call) = of(thread).or_else(|| free(thread)) else {
        counters::lose(Lost::THREADS_FULL, 1);
        return 0;
    };
    // SAFETY: a map value that is this thread's. A reader may see the one before for a moment.
    unsafe {
        (&raw mut (*call).since_ns).write_volatile(clock::since_boot());
        (&raw mut (*call).pages).write_volatile(pages);
        (&raw mut (*call).start_ns).write_volatile(task::start_of_process());
    }
    0
}

#[inline(always)]
fn leave() -> u32 {
    if let Some(call) = of(bpf_get_current_pid_tgid()) {
        // SAFETY: as above, and no longer.
        unsafe { thread_of(call).write_volatile(0) };
    }
    0
}

/// The entry that a thread has.
#[inline(always)]
fn of(thread: u64) -> Option<*mut Call> {
    for way in 0..WAYS {
        let call = entry(thread, way)?;
        if load(thread_of(call)) == thread {
            return Some(call);
        }
    }
    None
}

/// One that nobody has, taken.
#[inline(always)]
fn free(thread: u64) -> Option<*mut Call> {
    for way in 0..WAYS {
        let call = entry(thread, way)?;
        if load(thread_of(call)) == 0 && swap(thread_of(call), 0, thread) {
            return Some(call);
        }
    }
    None
}

/// The programs of a function whose third argument is how many pages are wanted.
macro_rules! programs {
    ($kprobe:ident, $kretprobe:ident, $fentry:ident, $fexit:ident) => {
        #[kprobe]
        fn $kprobe(ctx: ProbeContext) -> u32 {
            enter(Args::arg(&ctx, 2))
        }

        #[kretprobe]
        fn $kretprobe(_ctx: RetProbeContext) -> u32 {
            leave()
        }

        #[fentry]
        fn $fentry(ctx: FEntryContext) -> u32 {
            enter(Args::number(&ctx, 2))
        }

        #[fexit]
        fn $fexit(_ctx: FExitContext) -> u32 {
            leave()
        }
    };
}

programs!(
    in_flight_kprobe,
    in_flight_kretprobe,
    in_flight_fentry,
    in_flight_fexit
);
programs!(
    in_flight_remote_kprobe,
    in_flight_remote_kretprobe,
    in_flight_remote_fentry,
    in_flight_remote_fexit
);
