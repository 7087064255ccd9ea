//! `IORING_REGISTER_CLONE_BUFFERS` (Linux 6.12): an io_uring takes over the buffers of another one.
//!
//! The kernel pins nothing for that, and the last ring that lets go releases what the first one
//! pinned. So from the first time on, a release by a ring may be of another ring's pins.

use aya_ebpf::{
    macros::{fentry, kprobe},
    programs::{FEntryContext, ProbeContext},
};

use crate::book::settings;

#[kprobe]
fn clone_buffers_kprobe(_ctx: ProbeContext) -> u32 {
    settings::buffers_are_cloned();
    0
}

#[fentry]
fn clone_buffers_fentry(_ctx: FEntryContext) -> u32 {
    settings::buffers_are_cloned();
    0
}
