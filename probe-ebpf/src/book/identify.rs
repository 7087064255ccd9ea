//! Whose call it is: the owner of references that a call takes.
//!
//! An owner is a process, its address space, cgroup and user, the function called with
//! its flags, the call path, and the ring that a longterm pin is for. A thread remembers
//! the last ones that it took references for; how it knows a call path again is
//! `paths`' business.

use core::ptr;

use probe_abi::{ABSENT, Lost, NOBODY, Owner};

use crate::{
    book::{
        counters,
        learn::learn,
        owners::{live, record},
        paths::{PATHS, is_same},
        settings,
        threads::Thread,
    },
    kernel::{
        args::{Stack, call_path},
        layout::layout,
        ring,
        task::{self, Current, Me},
    },
    verifier::{
        atomic::{load, xadd},
        unknown::opaque,
    },
};

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
            true => record(self.owner),
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
pub(crate) fn identify(ctx: &impl Stack, thread: *mut Thread, function: u32, me: Me) -> Found {
    find(ctx, thread, function, me)
}

/// The same with a frame of its own: the stack of a probe is short.
#[cfg(feature = "baseline")]
#[inline(always)]
pub(crate) fn identify(ctx: &impl Stack, thread: *mut Thread, function: u32, me: Me) -> Found {
    #[inline(never)]
    fn apart(ctx: &impl Stack, thread: *mut Thread, function: u32, me: Me) -> u32 {
        find(ctx, thread, function, me).owner
    }
    Found::of(apart(ctx, thread, function, me))
}

#[inline(always)]
fn find(ctx: &impl Stack, thread: *mut Thread, function: u32, me: Me) -> Found {
    // SAFETY: the entry is this thread's while it is inside a call.
    let thread = unsafe { &mut *thread };
    // Through the entry: the stack's address becomes a number there, with which
    // the verifier lets us reckon.
    // SAFETY: as above.
    unsafe { (&raw mut thread.stack).write_volatile(ctx.stack()) };
    let Current {
        task,
        start_ns,
        mm,
        uid,
        cgroup,
    } = task::current(me);
    if thread.start_ns != start_ns
        || thread.mm != mm
        || thread.cgroup != cgroup
        || thread.uid != uid
    {
        thread.start_ns = start_ns;
        thread.mm = mm;
        thread.cgroup = cgroup;
        thread.uid = uid;
        for path in &mut thread.paths {
            path.what = 0;
        }
    }
    let object = if is_for_long(thread.flags) {
        ring::of_syscall(task)
    } else {
        0
    };
    let stack = load(&raw const thread.stack);
    let what = what(function, thread.flags, object);
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
    thread.object = object;
    learn(thread, task, what);
    Found::of(thread.owner)
}

/// Whether the caller says that it will hold on: then it is asked for whom.
#[inline(always)]
fn is_for_long(flags: u32) -> bool {
    let flag = match layout!(foll_longterm) {
        ABSENT => settings::longterm_flag(),
        flag => flag,
    };
    flags & flag != 0
}

/// Function, flags and, of a pin for long, the ring's address, as far as it tells rings
/// of a thread apart, in one word; never 0.
#[inline(always)]
fn what(function: u32, flags: u32, object: u64) -> u64 {
    u64::from(function + 1) << 32 | u64::from(flags) | object >> 6 << 40
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
