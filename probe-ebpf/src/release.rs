//! From which slot of a folio a release takes.
//!
//! The kernel does not say whose reference it drops. Where a folio has one owner
//! that is no question; of several it is the process that releases, or else the
//! one that pinned last, because what is held for long is given back last.

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use probe_abi::{BUCKET_SLOTS, Bucket, Word};

use crate::{
    atomic::swap,
    folio::MAPPING_ANON,
    ledger::{Entry, NONE, References, bucket_ptr, find, owner_of, read_word, since, word_ptr},
    owners,
    scratch::{Handle, Raw, handle, lent},
    threads,
    unknown::{equal, opaque, unknown_zero},
};

// What became of an attempt.
const NOTHING: i64 = 0;
const SOME: i64 = 1;
const DONE: i64 = 2;

/// The process that is releasing; 0 in an interrupt, which serves anybody, and in
/// a thread of the kernel's idle task.
#[inline(always)]
pub(crate) fn releaser() -> u64 {
    if threads::in_interrupt() {
        return 0;
    }
    bpf_get_current_pid_tgid() >> 32
}

/// Takes what there is out of the slot that the folio prefers, if nobody else has
/// any; how many.
#[inline(always)]
pub(crate) fn from_preferred(references: &References) -> u64 {
    let Some((bucket, slot)) = references.preferred() else {
        return 0;
    };
    let word = read_word(word_ptr(bucket, slot));
    let alone = word.0 & !Word::COUNT == references.want;
    if !alone || word.count() == 0 {
        return 0;
    }
    take(bucket, slot, word, references, |owner, since_ns| {
        owners::held_since(owner, since_ns);
    })
}

/// Takes what the releasing process itself has.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn from_own(entry: Handle<Entry>) -> i64 {
    let Some(entry) = lent::<Entry>(entry) else {
        return DONE;
    };
    for bucket in entry.buckets {
        let slot = own(bucket, entry.references.want, entry.releaser);
        take_from(entry, bucket, slot);
    }
    NOTHING
}

/// A step of a loop: takes what anybody has. 1 at the end.
pub(crate) extern "C" fn attempt(attempt: u64, entry: Raw) -> i64 {
    let found = from_newest(handle(entry));
    // While this one searched, another release may have emptied the slot it
    // came for and a pin filled the one it had passed: look more than once.
    i64::from(found == DONE || found == NOTHING && attempt >= 2)
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn from_newest(entry: Handle<Entry>) -> i64 {
    let Some(entry) = lent::<Entry>(entry) else {
        return DONE;
    };
    if entry.references.left == 0 {
        return DONE;
    }
    let mut found = NOTHING;
    for bucket in entry.buckets {
        let slot = newest(bucket, entry.references.want);
        if slot < NONE as u64 {
            found = SOME;
            take_from(entry, bucket, slot);
            if entry.references.left == 0 {
                return DONE;
            }
        }
    }
    found
}

// Functions of their own where there is room for one more frame: the verifier
// would look at each slot anew for each bucket, and for each slot found before.

/// A slot of the process, or [`NONE`].
#[cfg_attr(not(feature = "baseline"), unsafe(no_mangle), inline(never))]
#[cfg_attr(feature = "baseline", inline(always))]
extern "C" fn own(bucket: u32, want: u64, releaser: u64) -> u64 {
    let Some(bucket) = bucket_ptr(bucket) else {
        return NONE as u64;
    };
    find(bucket, |word, slot| {
        holds(word, want) && owners::tgid_of(owner_of(bucket, slot)) == releaser
    }) as u64
}

/// A slot with references; of several that of the owner that pinned last.
#[cfg_attr(not(feature = "baseline"), unsafe(no_mangle), inline(never))]
#[cfg_attr(feature = "baseline", inline(always))]
extern "C" fn newest(bucket: u32, want: u64) -> u64 {
    let Some(bucket) = bucket_ptr(bucket) else {
        return NONE as u64;
    };
    // Unknown to the verifier, to which each slot that is found looks like the last.
    let (mut newest, mut pinned) = (NONE as u64 + unknown_zero(), unknown_zero());
    for slot in 0..BUCKET_SLOTS {
        if !holds(read_word(word_ptr(bucket, slot)), want) {
            continue;
        }
        let since = since(bucket, slot);
        // By their difference: comparing them would tell it something of each.
        if opaque(since.wrapping_sub(pinned)) as i64 >= 0 {
            newest = slot as u64 + unknown_zero();
            pinned = since;
        }
    }
    newest
}

/// Takes what is asked for out of a slot, if there is one and as much as it has.
#[inline(always)]
fn take_from(entry: &mut Entry, bucket: u32, slot: u64) {
    let Some(bucket) = bucket_ptr(bucket) else {
        return;
    };
    let slot = slot as usize;
    if slot < NONE {
        let word = read_word(word_ptr(bucket, slot));
        if holds(word, entry.references.want) {
            entry.references.left -=
                take(bucket, slot, word, &entry.references, |owner, since_ns| {
                    owners::held_since_apart(u64::from(owner), since_ns);
                });
        }
    }
}

#[inline(always)]
fn holds(word: Word, want: u64) -> bool {
    equal(word.0 & Word::IDENTITY, want) && word.count() > 0
}

/// Takes what there is, at most what is asked for, out of a slot with references;
/// returns how many: none if its word no longer is what it was. `ended` is told of an
/// owner that has none left.
#[inline(always)]
fn take(
    bucket: *mut Bucket,
    slot: usize,
    word: Word,
    references: &References,
    ended: impl Fn(u32, u64),
) -> u64 {
    let (owner, since_ns) = (owner_of(bucket, slot), since(bucket, slot));
    let count = u64::from(word.count());
    let taken = count.min(references.left);
    let rest = if taken < count {
        word.0 - taken
    } else if references.mapping & MAPPING_ANON != 0 {
        // Nothing writes an anonymous folio back through mkclean: once its last
        // reference is gone there is nothing to remember.
        0
    } else {
        word.0 & Word::IDENTITY
    };
    if !swap(word_ptr(bucket, slot), word.0, rest) {
        return 0;
    }
    if taken == count {
        ended(owner, since_ns);
    }
    taken
}
