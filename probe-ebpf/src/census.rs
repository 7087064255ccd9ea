//! The census: goes through every `struct page` and reports the folios that may be pinned.
//! Attached to nothing: the agent runs it, a slice at a time. What of it is pinned is judged
//! in user space, by the code that judges the ledger.

mod base;
mod candidate;
mod state;
mod walk;

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};
use probe_abi::Census;

/// The first argument is what to do.
#[raw_tracepoint(tracepoint = "sys_enter")]
fn census(ctx: RawTracePointContext) -> i32 {
    let (what, root): (u64, u64) = (ctx.arg(0), ctx.arg(1));
    match what {
        Census::LEARN_BASE => base::learn(root),
        _ => walk::walk(),
    }
    0
}
