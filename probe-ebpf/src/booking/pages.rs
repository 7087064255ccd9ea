//! Walking a set of pages folio by folio.
//!
//! Neighbouring pages of one folio cost one comparison each: the folio is
//! looked up once, and its references are one run.

use probe_abi::Lost;

use super::{
    run::{Act, Walk, start_run},
    small::Small,
};
use crate::{
    book::counters,
    kernel::{
        folio::{Folio, MAPPING_ANON},
        layout::layout,
        read::{read_kernel, read_word},
        typed::Typed,
    },
    verifier::{
        repeat::{repeat, step_by, steps},
        scratch::{Handle, Kept, hand_back, lend, lent},
    },
};

/// Page pointers fetched at once inside a large folio.
const CHUNK: usize = 16;
/// Bytes of a page pointer.
const POINTER: u64 = 8;

/// Walks an array of `n` page (or folio) pointers; returns how many count.
#[inline(always)]
pub(crate) fn walk_array(array: u64, n: u64, act: Act, owner: u32) -> u64 {
    let mut walk = Walk::new(array, array + n * POINTER, act, owner);
    let Some(walk) = lend(&mut walk) else {
        return unwalked(n);
    };
    match (act.takes(), n) {
        (true, 1) => _ = take_from_array(walk.handle()),
        (true, _) => repeat(steps(n), next_taken_of_array, walk.raw()),
        (false, 1) => _ = give_from_array(walk.handle()),
        (false, _) => repeat(steps(n), next_given_of_array, walk.raw()),
    }
    let counted = walk.finish(POINTER, act.takes());
    hand_back(walk);
    counted
}

/// Releases one reference on each of `n` pages that lie side by side.
#[inline(always)]
pub(crate) fn walk_range(first: u64, n: u64, act: Act) -> u64 {
    let size = u64::from(layout!(page_size));
    let mut walk = Walk::new(first, first + n * size, act, 0);
    let Some(walk) = lend(&mut walk) else {
        return unwalked(n);
    };
    if n == 1 {
        give_from_range(walk.handle());
    } else {
        repeat(steps(n), next_given_of_range, walk.raw());
    }
    let counted = walk.finish(size, false);
    hand_back(walk);
    counted
}

/// `n` references on the folio of one page; returns how many count.
#[inline(always)]
pub(crate) fn one(page: u64, n: u64, act: Act, owner: u32) -> u64 {
    let takes = act.takes();
    let mut walk = Walk::new(0, 0, act, owner);
    let Some(walk) = lend(&mut walk) else {
        return unwalked(n);
    };
    start_run(walk, page, n, takes);
    let counted = walk.finish(POINTER, takes);
    hand_back(walk);
    counted
}

/// There was no room to walk.
#[inline(always)]
fn unwalked(n: u64) -> u64 {
    counters::lose(Lost::CONTENDED, n);
    n
}

/// Whether the only page of an array is of no file: plain references on such are
/// counted, and no more than that.
#[inline(always)]
pub(crate) fn is_one_anonymous(array: u64) -> bool {
    read_word(array).is_some_and(|page| is_anonymous(page) == 1)
}

/// Gives one plain reference back; returns how many count.
#[inline(always)]
pub(crate) fn put_one(page: u64) -> u64 {
    if is_anonymous(page) == 1 {
        return 1;
    }
    one(page, 1, Act::Put, 0)
}

// Leaves of the call tree have their own frames, which end before the ledger
// begins: all frames of a chain of calls together have 512 bytes.

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn is_anonymous(page: u64) -> u64 {
    // The zero page is not, it has no mapping.
    if let Some(folio) = Typed::page_at(page).and_then(Small::of) {
        return u64::from(folio.mapping & MAPPING_ANON != 0);
    }
    u64::from(Folio::of(page).is_some_and(|it| it.is_anon()))
}

/// Passes over the pointers ahead that are inside the folio of the current run,
/// a chunk of them at most; how many.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn stay_inside(walk: Handle<Walk>) -> u64 {
    let Some(walk) = lent::<Walk>(walk) else {
        return 0;
    };
    let Some(pages) = read_kernel::<[u64; CHUNK]>(walk.at) else {
        return 0;
    };
    let mut inside = 0;
    for page in pages {
        if !walk.has(page) {
            break;
        }
        inside += 1;
    }
    walk.run += inside;
    walk.counted += inside;
    walk.at += inside * POINTER;
    inside
}

step_by!(next_taken_of_array, take_from_array);
step_by!(next_given_of_array, give_from_array);
step_by!(next_given_of_range, give_from_range);

// Whether references are acquired or released, each program does the one or the
// other only, and the verifier need not look at both.

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn take_from_array(walk: Handle<Walk>) -> i64 {
    visit_array(walk, true)
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn give_from_array(walk: Handle<Walk>) -> i64 {
    visit_array(walk, false)
}

/// Visits the next pointers of an array: all those inside the current folio, or
/// the first of another one. 1 at the end.
#[inline(always)]
fn visit_array(walk: Handle<Walk>, takes: bool) -> i64 {
    let Some(walk) = lent::<Walk>(walk) else {
        return 1;
    };
    if walk.at >= walk.stop {
        return 1;
    }
    // A small folio is followed by another one: fetch no more than its pointer.
    if walk.order > 0
        && walk.stop - walk.at >= CHUNK as u64 * POINTER
        && stay_inside(walk.handle()) > 0
    {
        return 0;
    }
    let Some(page) = read_word(walk.at) else {
        return unreadable(walk, 1);
    };
    walk.at += POINTER;
    if walk.has(page) {
        walk.run += 1;
        walk.counted += 1;
    } else {
        start_run(walk, page, 1, takes);
    }
    0
}

/// Visits the next folio of a range of pages. 1 at the end.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn give_from_range(walk: Handle<Walk>) -> i64 {
    let Some(walk) = lent::<Walk>(walk) else {
        return 1;
    };
    if walk.at >= walk.stop {
        return 1;
    }
    let first = walk.at;
    let size = u64::from(layout!(page_size));
    start_run(walk, first, 1, false);
    walk.at = first + size;
    // The rest of this folio, without looking at its pages.
    let end = (walk.head + walk.bytes()).min(walk.stop);
    if end > walk.at {
        let rest = (end - walk.at).checked_div(size).unwrap_or(0);
        walk.run += rest;
        walk.counted += rest;
        walk.at = end;
    }
    0
}

/// Passes over pages that cannot be told; the API counted them all the same.
#[inline(always)]
fn unreadable(walk: &mut Walk, n: u64) -> i64 {
    counters::lose(Lost::UNREADABLE, n);
    walk.counted += n;
    walk.at += n * POINTER;
    0
}
