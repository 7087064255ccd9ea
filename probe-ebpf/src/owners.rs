//! Owners: in whose name a call takes references.
//!
//! An owner is a process, its cgroup and user, the function called with its
//! flags, and the call path. Unwinding a stack costs more than all else that a
//! probe does, so a thread remembers by what its last owner was known: the same
//! function, with the same flags, and the same return addresses at two places of
//! the stack, in the middle of the path and where it left the system call. Their
//! distance from the innermost frame is the depth of all frames between, so that
//! another path would have to be as long, to the byte. (The depth of the stack as
//! a whole tells nothing: the kernel begins each system call at another one.)

use core::{ffi::c_void, mem::offset_of};

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE,
    helpers::{
        bpf_get_current_pid_tgid, bpf_get_current_uid_gid,
        generated::{bpf_get_current_cgroup_id, bpf_get_current_task, bpf_get_stack},
    },
    macros::map,
    maps::Array,
};
use probe_abi::{CALL_FRAMES, Lost, Owner, OwnerTag, hold_bucket, owner_slot};

use crate::{
    args::Stack,
    atomic::{load, swap, xadd},
    counters,
    folio::read_kernel,
    layout::layout,
    ledger::now,
    repeat::repeat_here,
    threads::{BEGINNINGS, CHECKED, PATHS, Path, Thread},
    unknown::unknown_zero,
};

/// The records; the agent sets their number to a power of two, and maps them.
#[map]
static OWNERS: Array<Owner> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Not known: the record that always is.
pub(crate) const NOBODY: u32 = 0;

/// Records looked at for an identity, or for room for it.
const ATTEMPTS: u32 = 8;

/// Frames at the outer end of a path that are the same for all system calls: the
/// entry itself and what chooses the call.
const ABOVE_SYSCALL: u32 = 3;

/// Parts of the stack in which return addresses are looked for, and the words of
/// each.
const CHUNKS: u32 = 48;
const CHUNK_WORDS: usize = 8;

/// How often an address may be in another place than it was before its path's
/// outer end is no longer compared: it lies where it cannot be found again, and
/// unwinding costs all others more.
const PATIENCE: u32 = 64;

/// Finds the owner of a call, and leaves it in the thread's entry.
#[inline(always)]
pub(crate) fn identify(ctx: &impl Stack, thread: *mut Thread, function: u32) {
    // SAFETY: the entry is this thread's while it is inside a call.
    let thread = unsafe { &mut *thread };
    // Through the entry: the stack's address becomes a number there, with which
    // the verifier lets us reckon.
    // SAFETY: as above.
    unsafe { (&raw mut thread.stack).write_volatile(ctx.stack()) };
    // SAFETY: the helpers have no precondition.
    let (task, cgroup) = unsafe { (bpf_get_current_task(), bpf_get_current_cgroup_id()) };
    let uid = bpf_get_current_uid_gid() as u32;
    let start_ns = read_kernel::<u64>(task + u64::from(layout!(task_start))).unwrap_or(0);
    if thread.start_ns != start_ns || thread.cgroup != cgroup || thread.uid != uid {
        thread.start_ns = start_ns;
        thread.cgroup = cgroup;
        thread.uid = uid;
        for path in &mut thread.paths {
            path.what = 0;
        }
    }
    let stack = load(&raw const thread.stack);
    let what = what(function, thread.flags);
    for place in 0..PATHS {
        let path = &thread.paths[place];
        if path.what == what && is_live(path.owner, path.owner_tag) && is_same(path, stack) {
            thread.owner = path.owner;
            thread.owner_tag = path.owner_tag;
            return;
        }
    }
    thread.inner_frames = ctx.inner_frames();
    // SAFETY: the buffer is as long as said.
    let bytes = unsafe {
        bpf_get_stack(
            ctx.as_ptr(),
            (&raw mut thread.frames).cast(),
            (CALL_FRAMES * 8) as u32,
            0,
        )
    };
    thread.frame_count = if bytes > 0 { bytes as u32 / 8 } else { 0 };
    learn(thread, task, what);
}

/// Function and flags in one word; never 0.
#[inline(always)]
fn what(function: u32, flags: u32) -> u64 {
    u64::from(function + 1) << 32 | u64::from(flags)
}

/// Whether a record is still that of the identity.
#[inline(always)]
pub(crate) fn is_live(owner: u32, tag: u64) -> bool {
    OWNERS
        .get_ptr(owner)
        // SAFETY: a map value, aligned and alive.
        .is_some_and(|it| load(unsafe { &raw const (*it).tag }) == tag)
}

/// The owner of the call that ends, if its record is still there.
#[inline(always)]
pub(crate) fn settle(thread: &Thread) -> u32 {
    if thread.owner_tag != 0 && is_live(thread.owner, thread.owner_tag) {
        thread.owner
    } else {
        NOBODY
    }
}

/// Counts what an owner took.
#[inline(always)]
pub(crate) fn took(owner: u32, pages: u64) {
    if owner == NOBODY {
        counters::lose(Lost::OWNERS_FULL, pages);
    }
    if let Some(record) = OWNERS.get_ptr_mut(owner) {
        // SAFETY: a map value, aligned and alive.
        xadd(unsafe { &raw mut (*record).pages_taken }, pages);
    }
}

/// An owner gave the last reference on a folio back.
#[inline(always)]
pub(crate) fn held_since(owner: u32, since_ns: u64) {
    let Some(record) = OWNERS.get_ptr_mut(owner) else {
        return;
    };
    let held = now().wrapping_sub(since_ns);
    let bucket = hold_bucket(held) & (probe_abi::HOLD_BUCKETS - 1);
    // SAFETY: a map value; the bucket is inside the array.
    unsafe {
        xadd(
            record
                .cast::<u8>()
                .add(offset_of!(Owner, holds) + bucket * 8)
                .cast(),
            1,
        );
        xadd(&raw mut (*record).held_ns, held);
    }
}

/// Whether the compared return addresses are where the path has them.
#[inline(always)]
fn is_same(path: &Path, stack: u64) -> bool {
    for place in 0..CHECKED {
        if place > 0 && path.misplaced > PATIENCE {
            break;
        }
        let at = path.at[place][beginning(stack)];
        if at == 0 || read_kernel::<u64>(stack + u64::from(at)) != Some(path.value[place]) {
            return false;
        }
    }
    true
}

#[inline(always)]
fn beginning(stack: u64) -> usize {
    (stack >> 3) as usize & (BEGINNINGS - 1)
}

/// Finds or makes the record of what the entry holds, and where on the stack its
/// path is known again.
#[inline(never)]
fn learn(thread: &mut Thread, task: u64, what: u64) -> u32 {
    let leader = read_kernel::<u64>(task + u64::from(layout!(task_leader))).unwrap_or(task);
    let start = read_kernel::<u64>(leader + u64::from(layout!(task_start))).unwrap_or(0);
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    let mut hash = unknown_zero();
    for word in [
        start,
        thread.cgroup,
        u64::from(tgid) << 32 | u64::from(thread.uid),
        what,
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
    let mut search = Search {
        live: OwnerTag::new(hash | 4, OwnerTag::LIVE).0,
        leader,
        start,
        tgid,
        owner: NOBODY,
        what,
        thread,
    };
    repeat_here(ATTEMPTS, try_record, (&raw mut search).cast());
    thread.owner = search.owner;
    thread.owner_tag = if search.owner == NOBODY {
        0
    } else {
        search.live
    };
    remember(thread, what);
    0
}

/// A record being looked for.
#[repr(C)]
struct Search {
    live: u64,
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
    let Some(record) = OWNERS.get_ptr_mut(index) else {
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
        // Being written counts: by the time that it matters it is in use.
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
    record.since_ns = now();
    record.tgid = search.tgid;
    record.uid = thread.uid;
    record.function = (search.what >> 32) as u32 - 1;
    record.flags = search.what as u32;
    record.comm =
        read_kernel::<[u8; 16]>(search.leader + u64::from(layout!(task_comm))).unwrap_or([0; 16]);
    record.frame_count = thread.frame_count;
    for place in 0..CALL_FRAMES {
        record.frames[place] = thread.frames[place];
    }
}

/// Remembers the path and where on the stack it is known again.
///
/// A return address may also be left over from earlier calls, anywhere. Such a
/// place fails sooner or later, the true one never: after a failure the next
/// place counts.
#[inline(always)]
fn remember(thread: &mut Thread, what: u64) {
    // Without an owner there is nothing to know again.
    if thread.owner_tag == 0 {
        return;
    }
    let mut place = PATHS as u32;
    for (at, path) in thread.paths.iter().enumerate() {
        if path.what == what && path.owner == thread.owner {
            place = at as u32;
        }
    }
    let fresh = place == PATHS as u32;
    if fresh {
        place = thread.turn;
        thread.turn = place.wrapping_add(1);
    }
    let outermost = thread.frame_count.saturating_sub(ABOVE_SYSCALL);
    let middle = (thread.inner_frames + outermost) / 2;
    let values = [frame(thread, middle), frame(thread, outermost)];
    let (owner, owner_tag, stack) = (thread.owner, thread.owner_tag, thread.stack);
    // Opaque, or the compiler drops the bound that the verifier asks for.
    let place = core::hint::black_box(place as usize) & (PATHS - 1);
    let path = &mut thread.paths[place];
    path.what = what;
    path.owner = owner;
    path.owner_tag = owner_tag;
    path.value = values;
    if fresh {
        path.at = [[0; BEGINNINGS]; CHECKED];
        path.misplaced = 0;
    }
    let begins = beginning(stack);
    for check in 0..CHECKED {
        let known = u64::from(path.at[check][begins]);
        if known == 0 || read_kernel::<u64>(stack + known) != Some(path.value[check]) {
            path.at[check][begins] = look_for(path.value[check], stack, known) as u16;
            path.misplaced = path.misplaced.saturating_add(1);
        }
    }
}

/// The next place of a value on a stack after a known one, or else the first; 0
/// if there is none.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn look_for(value: u64, stack: u64, known: u64) -> u64 {
    let mut scan = Scan {
        value,
        stack,
        known,
        first: 0,
        next: 0,
    };
    repeat_here(CHUNKS, look_at, (&raw mut scan).cast());
    if scan.next == 0 {
        scan.first
    } else {
        scan.next
    }
}

#[inline(always)]
fn frame(thread: &Thread, index: u32) -> u64 {
    // As above.
    let index = core::hint::black_box(index as usize);
    if index < CALL_FRAMES {
        thread.frames[index]
    } else {
        0
    }
}

/// A stack that is looked through.
#[repr(C)]
struct Scan {
    value: u64,
    stack: u64,
    known: u64,
    first: u64,
    next: u64,
}

/// Looks for the address in one part of the stack. 1 once there is a next one.
extern "C" fn look_at(chunk: u64, scan: *mut c_void) -> i64 {
    // SAFETY: the pointer that `look_for` passed.
    let scan = unsafe { &mut *scan.cast::<Scan>() };
    let begin = chunk * (CHUNK_WORDS * 8) as u64;
    let places = places_of(scan.value, scan.stack + begin);
    if places == 0 {
        return 0;
    }
    if scan.first == 0 {
        scan.first = begin + 8 * first_bit(places);
    }
    let passed = if scan.known < begin {
        0
    } else {
        (scan.known - begin) / 8 + 1
    };
    if passed >= CHUNK_WORDS as u64 {
        return 0;
    }
    let ahead = places >> passed << passed;
    if ahead == 0 {
        return 0;
    }
    scan.next = begin + 8 * first_bit(ahead);
    1
}

/// At which of some words a value is, a bit a word. Beyond the end of the stack
/// there is nothing.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn places_of(value: u64, words: u64) -> u64 {
    let Some(words) = read_kernel::<[u64; CHUNK_WORDS]>(words) else {
        return 0;
    };
    let mut places = 0;
    for (place, word) in words.iter().enumerate() {
        places |= same(*word, value) << place;
    }
    places
}

/// 1 if both are equal, without a branch: the verifier would follow each of the
/// outcomes of all of them.
#[inline(always)]
fn same(left: u64, right: u64) -> u64 {
    let difference = left ^ right;
    core::hint::black_box(difference | difference.wrapping_neg()) >> 63 ^ 1
}

/// Index of the lowest bit that is set, of eight.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn first_bit(mut bits: u64) -> u64 {
    let mut at = 0;
    for width in [4, 2, 1] {
        if bits & ((1 << width) - 1) == 0 {
            bits >>= width;
            at += width;
        }
    }
    at
}

#[inline(always)]
fn mix(hash: u64, word: u64) -> u64 {
    let hash = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash ^ hash >> 29
}
