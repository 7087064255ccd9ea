//! The kernel-side programs: they observe and count, and decide nothing.
//!
//! One module per hook family (`gup`, `unpin`, `bio`, `mkclean`, `zap`), each a
//! handler with thin entries per hook type; user space attaches one entry of
//! each. Program names are `SYMBOL_METHOD`, as the agent's catalogue expects.
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

mod arch;
mod args;
mod atomic;
mod bio;
mod counters;
mod folio;
mod gup;
mod layout;
mod ledger;
mod mkclean;
mod owners;
mod pages;
mod paths;
mod place;
mod release;
mod relief;
mod repeat;
mod resolve;
#[cfg_attr(feature = "baseline", path = "scratch/shared.rs")]
mod scratch;
mod settings;
mod small;
#[cfg_attr(feature = "baseline", path = "task/read.rs")]
mod task;
mod threads;
mod typed;
mod undo;
mod unknown;
mod unpin;
mod walks;
mod zap;

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The licence that the kernel checks before it lends GPL-only helpers.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
