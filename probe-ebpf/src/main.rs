//! The kernel-side programs: they observe and count, and decide nothing.
//!
//! At the top, one module per family of hooks, each a handler with thin entries per
//! way to attach; user space attaches one entry of each. Program names are
//! `PROBE_METHOD`, as the agent's catalogue expects. Below them, each floor knowing
//! only those after it: `census` (what is pinned at all), `answer` (what the agent asks
//! for), `book` (what is kept), `memory` (pages and folios), `kernel` (arguments, tasks,
//! where things lie), `verifier` (what it takes to be believed).
//!
//! Two flavours of the same sources: where the feature `baseline` needs another
//! way to do something, a module has a second file.

#![no_std]
#![no_main]
#![feature(asm_experimental_arch, core_intrinsics)]
#![expect(
    internal_features,
    reason = "the BPF target has no core::sync::atomic read-modify-write"
)]

mod bio;
mod clone_buffers;
mod fallback;
mod gup;
mod in_flight;
mod mkclean;
mod rollback;
mod unpin;
mod zap;

mod answer;
mod book;
mod booking;
mod census;
mod kernel;
mod verifier;

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The licence that the kernel checks before it lends GPL-only helpers.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
