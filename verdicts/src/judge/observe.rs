//! One captured walk as the estimators' observations: what each field of a
//! sample stands for, and what it cannot tell.

use estimator::{Missing, Observations, Pincount, Seen};
use probe_abi::{MkcleanSample, SampleFlags};

use super::{
    inputs::{Inputs, Losses},
    race,
};

/// What `sample` shows. `guped_since` is whether a GUP came since the last one.
pub(super) fn observations(
    sample: &MkcleanSample,
    inputs: Inputs,
    guped_since: Seen<bool>,
    losses: Losses,
) -> Observations {
    let has = |flag| sample.has(flag);
    let truth = has(SampleFlags::TRUTH_KNOWN);
    let mapcount = |value| known(has(SampleFlags::MAPCOUNT_KNOWN), value, Missing::Unreadable);
    let exit_pins = references(sample, sample.pins_exit, sample.gets_exit);
    let zaps_known = inputs.zaps && has(SampleFlags::ZAPS_KNOWN);
    let zaps = if has(SampleFlags::GUPED) {
        known(zaps_known, sample.zaps, Missing::NoHook)
    } else {
        // Decrements are noted in the ledger; a folio outside it has no note.
        Err(Missing::NotInLedger)
    };
    Observations {
        mapcount_entry: mapcount(sample.mapcount_entry),
        pins_entry: references(sample, sample.pins_entry, sample.gets_entry),
        guped_since,
        gups_in_walk: Ok(race::gups(sample)),
        found: known(
            inputs.ptes && has(SampleFlags::PTES_KNOWN),
            sample.ptes_found,
            Missing::NoHook,
        ),
        zaps_in_walk: zaps,
        // The exit is the end of the walk: nothing lies between them.
        zaps_after_walk: Ok(0),
        mapcount_exit: mapcount(sample.mapcount_exit),
        pins_exit: exit_pins,
        refcount: known(truth, sample.refcount as i32, Missing::Unreadable),
        pincount: known(
            truth,
            if has(SampleFlags::LARGE) {
                Pincount::Exact(sample.pincount as i32)
            } else {
                Pincount::Absent
            },
            Missing::Unreadable,
        ),
        nr_pages: Ok(if has(SampleFlags::CACHED) {
            sample.pages
        } else {
            0
        }),
        private_refs: Ok(u32::from(has(SampleFlags::PRIVATE))),
        // Writeback looks folios up in batches, and holds a reference on each.
        caller_refs: Ok(1),
        // A page that the ledger lost may be one of this folio's, unless the
        // folio is in the book.
        lost: losses.pages > 0 && !has(SampleFlags::GUPED),
    }
}

/// `GUP_PIN_COUNTING_BIAS`, Linux 5.6: one pin of a small folio in its reference count.
const BIAS: u32 = 1024;

/// Whether the ledger has more pins at the exit than the kernel's own count of the folio has
/// room for: of some of them the release was not seen, or they were released just then.
/// Nothing can be said of such a folio.
#[must_use]
pub fn contradicts(sample: &MkcleanSample) -> bool {
    if sample.pins_exit == 0 || !sample.has(SampleFlags::TRUTH_KNOWN) {
        return false;
    }
    if sample.has(SampleFlags::LARGE) {
        return sample.pins_exit > sample.pincount;
    }
    if !sample.has(SampleFlags::MAPCOUNT_KNOWN) {
        return false;
    }
    let bias = u64::from(BIAS);
    // To the nearest pin: the counts are not read at one moment.
    let room = u64::from(sample.refcount).saturating_sub(explained(sample));
    u64::from(sample.pins_exit) > (room + bias / 2) / bias
}

/// Whether the kernel's count of the folio has pins at the exit and the ledger none: a GUP that
/// has taken its reference and not returned, a release on its way, or a pin that was not seen.
#[must_use]
pub fn lacks_pins(sample: &MkcleanSample) -> bool {
    if sample.pins_exit > 0 || !sample.has(SampleFlags::TRUTH_KNOWN) {
        return false;
    }
    if sample.has(SampleFlags::LARGE) {
        return sample.pincount > 0;
    }
    let held = u64::from(sample.refcount);
    sample.has(SampleFlags::MAPCOUNT_KNOWN) && held >= explained(sample) + u64::from(BIAS)
}

/// References that are neither pins nor plain ones.
fn explained(sample: &MkcleanSample) -> u64 {
    let cached = if sample.has(SampleFlags::CACHED) {
        sample.pages
    } else {
        0
    };
    u64::from(sample.mapcount_exit)
        + u64::from(cached)
        + u64::from(sample.has(SampleFlags::PRIVATE))
}

/// Pins and plain references together: the mail counts every GUP.
///
/// Most plain references are released where no hook sees it. More of them
/// than the reference count leaves room for are not held any more, and how
/// many are is unknown.
fn references(sample: &MkcleanSample, pins: u32, gets: u32) -> Seen<u32> {
    if pins > 0 && contradicts(sample) {
        return Err(Missing::Lost);
    }
    if gets == 0 {
        return Ok(pins);
    }
    let bias = if sample.has(SampleFlags::LARGE) {
        1
    } else {
        u64::from(BIAS)
    };
    let explained = u64::from(sample.mapcount_exit)
        + u64::from(sample.pages)
        + u64::from(sample.has(SampleFlags::PRIVATE))
        + u64::from(sample.pins_exit) * bias;
    let room = u64::from(sample.refcount).saturating_sub(explained);
    if u64::from(gets) > room {
        Err(Missing::NotInLedger)
    } else {
        Ok(pins.saturating_add(gets))
    }
}

fn known<T>(known: bool, value: T, otherwise: Missing) -> Seen<T> {
    if known { Ok(value) } else { Err(otherwise) }
}
