//! Owners: in whose name a call takes references.
//!
//! An owner is a process, its cgroup and user, the function called with its
//! flags, and the call path. A thread remembers the last ones that it took
//! references for; how it knows a call path again is `paths`' business.

use core::{ffi::c_void, mem::offset_of, ptr};

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE,
    helpers::{bpf_get_current_pid_tgid, generated::bpf_get_current_cgroup_id},
    macros::map,
    maps::Array,
};
use probe_abi::{CALL_FRAMES, Lost, Owner, OwnerTag, hold_bucket, owner_slot};

use crate::{
    args::{Stack, call_path},
    atomic::{load, swap, xadd},
    counters,
    folio::read_kernel,
    layout::layout,
    ledger::now,
    paths::{PATHS, is_same, remember},
    repeat::repeat_here,
    task::{self, Current},
    threads::Thread,
    unknown::{opaque, unknown_zero},
};

/// The records; the agent sets their number to a power of two, and maps them.
#[map]
static OWNERS: Array<Owner> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Not known: the record that always is.
pub(crate) const NOBODY: u32 = 0;

/// Records looked at for an identity, or for room for it.
const ATTEMPTS: u32 = 8;

/// An owner, and its record, which is null where it is not at hand: an `Option` would
/// leave the pointer undefined.
#[derive(Clone, Copy)]
pub(crate) struct Found {
    pub(crate) owner: u32,
    record: *mut Owner,
}

impl Found {
    /// Nobody is known.
    pub(crate) const NOBODY: Self = Self::of(NOBODY);

    const fn of(owner: u32) -> Self {
        Self {
            owner,
            record: ptr::null_mut(),
        }
    }

    /// Counts what it took.
    #[inline(always)]
    pub(crate) fn took(self, pages: u64) {
        if self.owner == NOBODY {
            counters::lose(Lost::OWNERS_FULL, pages);
        }
        let record = match self.record.is_null() {
            true => OWNERS.get_ptr_mut(self.owner),
            false => Some(self.record),
        };
        if let Some(record) = record {
            // SAFETY: a map value, aligned and alive.
            xadd(unsafe { &raw mut (*record).pages_taken }, pages);
        }
    }
}

/// Finds the owner of a call, and leaves it in the thread's entry as well.
#[cfg(not(feature = "baseline"))]
#[inline(always)]
pub(crate) fn identify(ctx: &impl Stack, thread: *mut Thread, function: u32) -> Found {
    find(ctx, thread, function)
}

/// The same with a frame of its own: the stack of a probe is short.
#[cfg(feature = "baseline")]
#[inline(always)]
pub(crate) fn identify(ctx: &impl Stack, thread: *mut Thread, function: u32) -> Found {
    #[inline(never)]
    fn apart(ctx: &impl Stack, thread: *mut Thread, function: u32) -> u32 {
        find(ctx, thread, function).owner
    }
    Found::of(apart(ctx, thread, function))
}

#[inline(always)]
fn find(ctx: &impl Stack, thread: *mut Thread, function: u32) -> Found {
    // SAFETY: the entry is this thread's while it is inside a call.
    let thread = unsafe { &mut *thread };
    // Through the entry: the stack's address becomes a number there, with which
    // the verifier lets us reckon.
    // SAFETY: as above.
    unsafe { (&raw mut thread.stack).write_volatile(ctx.stack()) };
    // SAFETY: the helper has no precondition.
    let cgroup = unsafe { bpf_get_current_cgroup_id() };
    let Current {
        task,
        start_ns,
        uid,
    } = task::current();
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
    let recent = thread.recent;
    for turn in 0..PATHS as u64 {
        // Opaque, or the compiler drops the bound that the verifier asks for.
        let place = opaque(recent + turn) & (PATHS as u64 - 1);
        let path = &thread.paths[place as usize];
        if path.what != what {
            continue;
        }
        if let Some(record) = live(path.owner, path.owner_tag)
            && is_same(path, stack)
        {
            thread.owner = path.owner;
            thread.owner_tag = path.owner_tag;
            thread.recent = place;
            return Found {
                owner: path.owner,
                record,
            };
        }
    }
    thread.inner_frames = ctx.inner_frames();
    thread.frame_count = call_path(ctx, &raw mut thread.frames);
    learn(thread, task, what);
    Found::of(thread.owner)
}

/// Function and flags in one word; never 0.
#[inline(always)]
fn what(function: u32, flags: u32) -> u64 {
    u64::from(function + 1) << 32 | u64::from(flags)
}

/// The record, if it is still that of the identity.
#[inline(always)]
fn live(owner: u32, tag: u64) -> Option<*mut Owner> {
    let record = OWNERS.get_ptr_mut(owner);
    // SAFETY: a map value, aligned and alive.
    record.filter(|it| load(unsafe { &raw const (**it).tag }) == tag)
}

/// The owner that was found when the call that ends began, if its record is still
/// there.
#[inline(always)]
pub(crate) fn settle(thread: *mut Thread) -> Found {
    // SAFETY: the entry is this thread's while it is inside a call.
    let thread = unsafe { &*thread };
    if thread.owner_tag != 0 && live(thread.owner, thread.owner_tag).is_some() {
        Found::of(thread.owner)
    } else {
        Found::NOBODY
    }
}

/// Process of an owner; that of nobody is 0.
#[inline(always)]
pub(crate) fn tgid_of(owner: u32) -> u64 {
    OWNERS
        .get_ptr(owner)
        // SAFETY: a map value, aligned and alive.
        .map_or(0, |it| unsafe {
            u64::from((&raw const (*it).tgid).read_volatile())
        })
}

/// The same as a function of its own, where there is room for one more frame.
#[cfg_attr(not(feature = "baseline"), unsafe(no_mangle), inline(never))]
#[cfg_attr(feature = "baseline", inline(always))]
pub(crate) extern "C" fn held_since_apart(owner: u64, since_ns: u64) -> u64 {
    held_since(owner as u32, since_ns);
    0
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

/// Finds or makes the record of what the entry holds, and where on the stack its
/// path is known again.
///
/// The verifier looks at it on its own where the kernel takes that.
#[cfg_attr(not(feature = "baseline"), unsafe(no_mangle))]
#[inline(never)]
extern "C" fn learn(thread: *mut Thread, task: u64, what: u64) -> u64 {
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
    // A record that is being written or taken away is nobody's yet, or any more.
    let found = search.owner != NOBODY && live(search.owner, search.live).is_some();
    thread.owner = if found { search.owner } else { NOBODY };
    thread.owner_tag = if found { search.live } else { 0 };
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

#[inline(always)]
fn mix(hash: u64, word: u64) -> u64 {
    let hash = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash ^ hash >> 29
}
