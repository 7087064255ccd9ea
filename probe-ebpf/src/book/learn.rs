//! A call path that a thread does not know: its owner's record is found or made, and the
//! path is remembered.

use core::ffi::c_void;

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use probe_abi::{CALL_FRAMES, NOBODY, OWNER_PLACES, Owner, OwnerTag, mix, owner_slot};

use crate::{
    book::{
        owners::{live, record},
        paths::PATHS,
        threads::Thread,
    },
    kernel::{
        arch::{Arch, This},
        clock,
        layout::layout,
        read::read_kernel,
        ring,
    },
    verifier::{
        atomic::{load, swap},
        repeat::repeat_here,
        unknown::{opaque, unknown_zero},
    },
};

/// Of what tells calls apart, the function; the flags are below it, and the ring above.
const FUNCTION: u64 = 0xff;
const RING_SHIFT: u32 = 40;

/// Finds or makes the record of what the entry holds, and where on the stack its
/// path is known again.
///
/// The verifier looks at it on its own where the kernel takes that.
#[cfg_attr(not(feature = "baseline"), unsafe(no_mangle))]
#[inline(never)]
pub(crate) extern "C" fn learn(thread: *mut Thread, task: u64, what: u64) -> u64 {
    // SAFETY: the entry that the caller has, or nothing.
    let Some(thread) = (unsafe { thread.as_mut() }) else {
        return 0;
    };
    let leader = read_kernel::<u64>(task + u64::from(layout!(task_leader))).unwrap_or(task);
    let start = read_kernel::<u64>(leader + u64::from(layout!(task_start))).unwrap_or(0);
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    let mut hash = unknown_zero();
    for word in [
        start,
        thread.cgroup,
        u64::from(tgid) << 32 | u64::from(thread.uid),
        what & ((1 << RING_SHIFT) - 1),
        thread.mm,
    ] {
        hash = mix(hash, word);
    }
    for (place, frame) in thread.frames.iter_mut().enumerate() {
        // Beyond the count lies an earlier path's.
        if place >= thread.frame_count as usize {
            *frame = 0;
        }
        hash = mix(hash, *frame);
    }
    let ring_mm = ring::mm_of(thread.object);
    let full = mix(mix(hash, ring_mm), thread.object);
    let mut search = Search {
        live: OwnerTag::new(full | 4, OwnerTag::LIVE).0,
        kin: hash,
        ring_mm,
        leader,
        start,
        tgid,
        owner: NOBODY,
        what,
        thread,
    };
    repeat_here(OWNER_PLACES, try_record, (&raw mut search).cast());
    // A record that is being written or taken away is nobody's yet, or any more.
    let found = search.owner != NOBODY && live(search.owner, search.live).is_some();
    thread.owner = if found { search.owner } else { NOBODY };
    thread.owner_tag = if found { search.live } else { 0 };
    remember(thread, what);
    0
}

/// Remembers the path among the thread's.
#[inline(always)]
fn remember(thread: &mut Thread, what: u64) {
    // Without an owner there is nothing to know again.
    if thread.owner_tag == 0 {
        return;
    }
    let mut place = PATHS as u32;
    for (at, path) in thread.paths.iter().enumerate() {
        if path.what == what && path.owner == thread.owner {
            place = at as u32 + unknown_zero() as u32;
        }
    }
    let fresh = place == PATHS as u32;
    if fresh {
        place = thread.turn;
        thread.turn = place.wrapping_add(1);
    }
    let outermost = thread.frame_count.saturating_sub(This::SYSCALL_FRAMES);
    let middle = (thread.inner_frames + outermost) / 2;
    let values = [frame(thread, middle), frame(thread, outermost)];
    let (owner, owner_tag, stack) = (thread.owner, thread.owner_tag, thread.stack);
    // Opaque, or the compiler drops the bound that the verifier asks for.
    let place = opaque(u64::from(place)) as usize & (PATHS - 1);
    let path = &mut thread.paths[place];
    path.what = what;
    path.owner = owner;
    path.owner_tag = owner_tag;
    path.learn(values, stack, fresh);
}

#[inline(always)]
fn frame(thread: &Thread, index: u32) -> u64 {
    // As above.
    let index = opaque(u64::from(index)) as usize;
    if index < CALL_FRAMES {
        thread.frames[index]
    } else {
        0
    }
}

/// A record being looked for.
#[repr(C)]
struct Search {
    live: u64,
    kin: u64,
    ring_mm: u64,
    leader: u64,
    start: u64,
    tgid: u32,
    owner: u32,
    what: u64,
    thread: *const Thread,
}

/// Looks at one record. 1 once the owner is found.
extern "C" fn try_record(attempt: u64, search: *mut c_void) -> i64 {
    // SAFETY: the pointer that `learn` passed.
    let search = unsafe { &mut *search.cast::<Search>() };
    let live = OwnerTag(search.live);
    let index = owner_slot(live.0, attempt as u32, layout!(owners_mask));
    let Some(record) = record(index) else {
        return 1;
    };
    // SAFETY: a map value, aligned and alive.
    let at = unsafe { &raw mut (*record).tag };
    let tag = OwnerTag(load(at));
    let found = if tag.0 == 0 {
        let busy = OwnerTag::new(live.0, OwnerTag::BUSY).0;
        if index == NOBODY || !swap(at, 0, busy) {
            false
        } else {
            write(record, search);
            swap(at, busy, live.0)
        }
    } else if tag.state() == OwnerTag::RETIRING {
        tag.same_identity(live) && swap(at, tag.0, live.0)
    } else {
        // Being written counts: `learn` looks again.
        tag.same_identity(live)
    };
    if found {
        search.owner = index;
    }
    i64::from(found)
}

/// Fills a record that nobody else has.
#[inline(always)]
fn write(record: *mut Owner, search: &Search) {
    // SAFETY: a map value, ours while its tag is busy.
    let record = unsafe { &mut *record };
    // SAFETY: the entry of this thread, which waits for us.
    let thread = unsafe { &*search.thread };
    record.start_ns = search.start;
    record.cgroup = thread.cgroup;
    record.since_ns = clock::since_boot();
    record.tgid = search.tgid;
    record.uid = thread.uid;
    record.function = (search.what >> 32 & FUNCTION) as u32 - 1;
    record.flags = search.what as u32;
    record.comm =
        read_kernel::<[u8; 16]>(search.leader + u64::from(layout!(task_comm))).unwrap_or([0; 16]);
    record.frame_count = thread.frame_count;
    for place in 0..CALL_FRAMES {
        record.frames[place] = thread.frames[place];
    }
    record.mm = thread.mm;
    record.object = thread.object;
    record.object_mm = search.ring_mm;
    record.kin = search.kin;
}
