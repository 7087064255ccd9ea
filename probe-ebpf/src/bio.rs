//! What direct I/O releases through before Linux 6.3: a completed bio drops the
//! plain references that `get_user_pages_fast()` took, inline, where no unpin
//! function is called.

use core::mem::offset_of;

use aya_ebpf::{
    macros::{fentry, kprobe},
    programs::{FEntryContext, ProbeContext},
};
use probe_abi::{ABSENT, CpuCounters, Lost};

use crate::{
    book::counters,
    booking::{pages, run::Act, small::Small},
    kernel::{
        args::Args,
        folio::{MAPPING_ANON, page_bytes},
        layout::{at, layout},
        read::read_kernel,
        typed::Typed,
    },
    verifier::{
        repeat::{needs, repeat},
        scratch::{Kept, Raw, hand_back, kept, lend, passed},
    },
};

/// A bio whose vector is being walked.
#[repr(C)]
struct Vector {
    at: u64,
    pages: u64,
}

kept!(Vector, VECTOR_CELLS);

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
    let Some((count, at)) = vector_of(bio) else {
        counters::lose(Lost::UNREADABLE, 1);
        return 0;
    };
    let mut vector = Vector { at, pages: 0 };
    let Some(vector) = lend(&mut vector) else {
        counters::lose(Lost::CONTENDED, u64::from(count));
        return 0;
    };
    if count == 1 {
        next_entry(0, vector.raw());
    } else {
        repeat(u32::from(count), next_entry, vector.raw());
    }
    counters::add(vector.pages, offset_of!(CpuCounters, pages_unreferenced));
    hand_back(vector);
    0
}

#[cfg_attr(feature = "baseline", unsafe(no_mangle), inline(never))]
extern "C" fn next_entry(index: u64, vector: Raw) -> i64 {
    needs(index);
    let Some(vector) = passed::<Vector>(vector) else {
        return 1;
    };
    // One `struct bio_vec`; the agent checks that it has these 16 bytes.
    let Some(entry) = read_kernel::<[u64; 2]>(vector.at) else {
        counters::lose(Lost::UNREADABLE, 1);
        return 0;
    };
    let page = entry[word_of(layout!(bvec_page))];
    let length = half(&entry, layout!(bvec_len));
    let offset = half(&entry, layout!(bvec_offset));
    vector.at += 16;
    let (shift, rest) = (layout!(page_shift), page_bytes() - 1);
    let pages = ((u64::from(offset) & rest) + u64::from(length) + rest) >> shift;
    let first = page + u64::from(offset >> shift) * u64::from(layout!(page_size));
    vector.pages += if pages == 1 {
        pages::put_one(first)
    } else {
        pages::walk_range(first, pages, Act::Put)
    };
    0
}

/// Whether a bio gives one plain reference to anonymous memory back, which is what
/// most do; false also where that takes a longer look.
#[inline(always)]
fn released_one(bio: Typed) -> bool {
    let unreferenced = layout!(bio_no_page_ref);
    if unreferenced != ABSENT && bio.read::<u16, _>(at!(bio_flags)) >> (unreferenced & 15) & 1 == 1
    {
        return false;
    }
    if bio.read::<u16, _>(at!(bio_vcnt)) != 1 {
        return false;
    }
    let entry = bio.follow(at!(bio_io_vec));
    let (offset, length) = (
        entry.read::<u32, _>(at!(bvec_offset)),
        entry.read::<u32, _>(at!(bvec_len)),
    );
    // Inside one page, and not empty.
    let size = page_bytes() as u32;
    if offset >= size || length.wrapping_sub(1) >= size - offset {
        return false;
    }
    let page = Small::of(entry.follow(at!(bvec_page)));
    page.is_some_and(|it| it.mapping & MAPPING_ANON != 0)
}

/// Length and address of a bio's vector. Which way it is read is known to the
/// verifier: the other one costs nothing.
#[inline(always)]
fn vector_of(bio: u64) -> Option<(u16, u64)> {
    let (count, at) = (layout!(bio_vcnt), layout!(bio_io_vec));
    if at == (count & !7) + 8 {
        // Side by side, as on every kernel that has such bios so far.
        let words = read_kernel::<[u64; 2]>(bio + u64::from(count & !7))?;
        return Some(((words[0] >> ((count & 7) * 8)) as u16, words[1]));
    }
    Some((
        read_kernel::<u16>(bio + u64::from(count))?,
        read_kernel::<u64>(bio + u64::from(at))?,
    ))
}

/// Index of the 64-bit word at a byte offset below 16.
#[inline(always)]
fn word_of(offset: u32) -> usize {
    offset as usize >> 3 & 1
}

/// The 32 bits at a byte offset below 16; the machine is little-endian.
#[inline(always)]
fn half(entry: &[u64; 2], offset: u32) -> u32 {
    (entry[word_of(offset)] >> ((offset & 4) * 8)) as u32
}

#[kprobe]
fn bio_release_kprobe(ctx: ProbeContext) -> u32 {
    release(&ctx)
}

#[fentry]
fn bio_release_fentry(ctx: FEntryContext) -> u32 {
    if released_one(Typed::arg(&ctx, 0)) {
        counters::add(1, offset_of!(CpuCounters, pages_unreferenced));
        return 0;
    }
    release(&ctx)
}
