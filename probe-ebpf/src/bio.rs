//! What direct I/O releases through before Linux 6.3: a completed bio drops the
//! plain references that `get_user_pages_fast()` took, inline, where no unpin
//! function is called.

use core::{ffi::c_void, mem::offset_of};

use aya_ebpf::{
    helpers::bpf_loop,
    macros::{fentry, kprobe},
    programs::{FEntryContext, ProbeContext},
};
use probe_abi::{ABSENT, CpuCounters, Lost};

use crate::{
    args::Args,
    counters,
    folio::read_kernel,
    layout::layout,
    pages::{self, Act},
};

/// A bio whose vector is being walked.
#[repr(C)]
struct Vector {
    at: u64,
    pages: u64,
}

#[inline(always)]
fn release(args: &impl Args) -> u32 {
    let bio = args.arg(0);
    let Some(flags) = read_kernel::<u16>(bio + u64::from(layout!(bio_flags))) else {
        counters::lose(Lost::UNREADABLE, 1);
        return 0;
    };
    let unreferenced = layout!(bio_no_page_ref);
    if unreferenced != ABSENT && flags >> (unreferenced & 15) & 1 == 1 {
        return 0;
    }
    let count = read_kernel::<u16>(bio + u64::from(layout!(bio_vcnt)));
    let at = read_kernel::<u64>(bio + u64::from(layout!(bio_io_vec)));
    let (Some(count), Some(at)) = (count, at) else {
        counters::lose(Lost::UNREADABLE, 1);
        return 0;
    };
    let mut vector = Vector { at, pages: 0 };
    // SAFETY: the callback has the signature the helper wants, and the vector
    // outlives the loop.
    unsafe {
        bpf_loop(
            u32::from(count),
            next_entry as *mut c_void,
            (&raw mut vector).cast::<c_void>(),
            0,
        );
    }
    counters::add(vector.pages, offset_of!(CpuCounters, pages_unreferenced));
    0
}

extern "C" fn next_entry(_index: u64, vector: *mut c_void) -> i64 {
    // SAFETY: the pointer that `release` passed.
    let vector = unsafe { &mut *vector.cast::<Vector>() };
    let page = read_kernel::<u64>(vector.at + u64::from(layout!(bvec_page)));
    let length = read_kernel::<u32>(vector.at + u64::from(layout!(bvec_len)));
    let offset = read_kernel::<u32>(vector.at + u64::from(layout!(bvec_offset)));
    vector.at += u64::from(layout!(bvec_size));
    let (Some(page), Some(length), Some(offset)) = (page, length, offset) else {
        counters::lose(Lost::UNREADABLE, 1);
        return 0;
    };
    let pages = (u64::from(offset & 4095) + u64::from(length)).div_ceil(4096);
    let first = page + u64::from(offset >> 12) * u64::from(layout!(page_size));
    vector.pages += pages::walk_range(first, pages, Act::Put);
    0
}

#[kprobe]
fn bio_release_kprobe(ctx: ProbeContext) -> u32 {
    release(&ctx)
}

#[fentry]
fn bio_release_fentry(ctx: FEntryContext) -> u32 {
    release(&ctx)
}
