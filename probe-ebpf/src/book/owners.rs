//! The records of owners: on whose behalf references are held. How one is found for a
//! call is `identify`'s business, how one is made is `learn`'s.

use core::mem::offset_of;

use aya_ebpf::{bindings::BPF_F_MMAPABLE, macros::map, maps::Array};
use ledger::{Fit, Identity, Kinship, Releaser};
use probe_abi::{HOLD_BUCKETS, Owner, hold_bucket};

use crate::{
    kernel::clock,
    verifier::atomic::{load, xadd},
};

/// The records; the agent sets their number to a power of two, and maps them.
#[map]
static OWNERS: Array<Owner> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// A record by its index.
#[inline(always)]
pub(crate) fn record(owner: u32) -> Option<*mut Owner> {
    OWNERS.get_ptr_mut(owner)
}

/// The record, if it is still that of the identity.
#[inline(always)]
pub(crate) fn live(owner: u32, tag: u64) -> Option<*mut Owner> {
    // SAFETY: a map value, aligned and alive.
    record(owner).filter(|it| load(unsafe { &raw const (**it).tag }) == tag)
}

/// How well an owner fits who releases, see [`Fit`].
///
/// A function that the verifier looks at once: in line, each slot of a bucket would be
/// followed with each of the answers.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn fit_of(owner: u64, tgid: u64, mm: u64, object: u64) -> u64 {
    let Some(record) = record(owner as u32) else {
        return 0;
    };
    let identity = identity(record);
    let releaser = Releaser {
        tgid,
        mm,
        object,
        doubt: 0,
    };
    Fit::of(owner as u32, &identity, &releaser) as u64
}

#[inline(always)]
fn identity(record: *mut Owner) -> Identity {
    // SAFETY: a map value, aligned and alive; plain integers that may change meanwhile.
    unsafe {
        Identity {
            tgid: u64::from((&raw const (*record).tgid).read_volatile()),
            mm: load(&raw const (*record).mm),
            object: load(&raw const (*record).object),
            object_mm: load(&raw const (*record).object_mm),
            kin: load(&raw const (*record).kin),
        }
    }
}

/// The same.
#[inline(always)]
pub(crate) fn fit(owner: u32, releaser: &Releaser) -> u64 {
    fit_of(
        u64::from(owner),
        releaser.tgid,
        releaser.mm,
        releaser.object,
    )
}

/// How near two owners are, see [`Kinship`]: looked at once as well.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn kinship_of(one: u64, other: u64) -> u64 {
    match (record(one as u32), record(other as u32)) {
        (Some(one), Some(other)) => Kinship::of(&identity(one), &identity(other)) as u64,
        _ => Kinship::Stranger as u64,
    }
}

/// The same.
#[inline(always)]
pub(crate) fn kinship(one: u32, other: u32) -> u64 {
    kinship_of(u64::from(one), u64::from(other))
}

/// An owner gave the last reference on a folio back.
#[inline(always)]
pub(crate) fn held_since(owner: u32, since_ns: u64) {
    let Some(record) = record(owner) else {
        return;
    };
    let held = clock::since_boot().wrapping_sub(since_ns);
    let bucket = hold_bucket(held) & (HOLD_BUCKETS - 1);
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

/// The same as a function of its own, where there is room for one more frame.
#[cfg_attr(not(feature = "baseline"), unsafe(no_mangle), inline(never))]
#[cfg_attr(feature = "baseline", inline(always))]
pub(crate) extern "C" fn held_since_apart(owner: u64, since_ns: u64) -> u64 {
    held_since(owner as u32, since_ns);
    0
}
