//! The loops of the long way through the ledger. Each of their steps is a function that the
//! verifier looks at once, by itself, whatever leads to it.

use ledger::{Acquire, Attempt, Choice, Place, ROUNDS, Rank, Release};
use probe_abi::BUCKET_SLOTS;

use crate::{
    book::ways::{self, Long},
    verifier::{
        repeat::{ends, needs, repeat},
        scratch::{Handle, Kept, Raw, handle, kept, lent, passed},
    },
};

/// How often the buckets are searched again because another CPU changed a word
/// first. Each time some CPU has got on, so this many in a row means trouble.
const ATTEMPTS: u32 = 256;

kept!(Acquire, ACQUIRE_CELLS);
kept!(Release, RELEASE_CELLS);

#[inline(always)]
pub(super) fn add_to_own(acquire: &mut Acquire) {
    // Twice in a row is rare: no loop for the first time.
    if add_once(acquire.handle()) == 0 {
        repeat(ATTEMPTS, add_again, acquire.raw());
    }
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn add_once(acquire: Handle<Acquire>) -> i64 {
    match lent::<Acquire>(acquire) {
        Some(acquire) => i64::from(acquire.add_step(Ledger)),
        None => 1,
    }
}

extern "C" fn add_again(_attempt: u64, acquire: Raw) -> i64 {
    ends(add_once(handle(acquire)))
}

#[inline(always)]
pub(super) fn open_slot(acquire: &mut Acquire) {
    repeat(ATTEMPTS, open_again, acquire.raw());
}

extern "C" fn open_again(_attempt: u64, acquire: Raw) -> i64 {
    let handle = handle(acquire);
    let is_done = match passed::<Acquire>(acquire) {
        Some(it) if it.rank == Rank::SHARED => {
            let choices = [look_to_share(handle, 0), look_to_share(handle, 1)];
            share_found(handle, choices[0].max(choices[1]))
        }
        _ => open_found(handle, look_for_room(handle)),
    };
    ends(is_done)
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn look_for_room(acquire: Handle<Acquire>) -> u64 {
    match lent::<Acquire>(acquire) {
        Some(acquire) => acquire.look(Ledger).0,
        None => 0,
    }
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn look_to_share(acquire: Handle<Acquire>, which: u64) -> u64 {
    match lent::<Acquire>(acquire) {
        Some(acquire) => acquire.look_to_share(Ledger, which).0,
        None => 0,
    }
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn share_found(acquire: Handle<Acquire>, choice: u64) -> i64 {
    match lent::<Acquire>(acquire) {
        Some(acquire) => i64::from(acquire.share(Ledger, Choice(choice))),
        None => 1,
    }
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn open_found(acquire: Handle<Acquire>, place: u64) -> i64 {
    match lent::<Acquire>(acquire) {
        Some(acquire) => i64::from(acquire.open(Ledger, Place(place))),
        None => 1,
    }
}

/// The long way.
#[expect(non_upper_case_globals, reason = "it stands for the table")]
const Ledger: Long = ways::Ledger;

#[inline(always)]
pub(super) fn raise_hint(acquire: &mut Acquire) {
    repeat(ATTEMPTS, hint_again, acquire.raw());
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn hint_once(key: u64) -> i64 {
    i64::from(ledger::raise_hint(Ledger, key))
}

extern "C" fn hint_again(_attempt: u64, acquire: Raw) -> i64 {
    passed::<Acquire>(acquire).map_or(1, |it| ends(hint_once(it.references.key())))
}

#[inline(always)]
pub(super) fn make_room(acquire: &mut Acquire) {
    repeat(ROUNDS as u32, clear_round, acquire.raw());
}

#[cfg_attr(feature = "baseline", unsafe(no_mangle), inline(never))]
extern "C" fn clear_round(round: u64, acquire: Raw) -> i64 {
    needs(round);
    repeat(2 * BUCKET_SLOTS as u32, clear_one, acquire);
    passed::<Acquire>(acquire).map_or(1, |it| i64::from(it.has_room(Ledger)))
}

#[cfg_attr(feature = "baseline", unsafe(no_mangle), inline(never))]
extern "C" fn clear_one(index: u64, acquire: Raw) -> i64 {
    match passed::<Acquire>(acquire) {
        Some(acquire) => {
            acquire.clear_slot(Ledger, index);
            0
        }
        None => 1,
    }
}

#[inline(always)]
pub(super) fn search(release: &mut Release) {
    repeat(ATTEMPTS, search_again, release.raw());
}

extern "C" fn search_again(_attempt: u64, release: Raw) -> i64 {
    look_in(handle(release), 0);
    look_in(handle(release), 1);
    ends(take_best(handle(release)))
}

/// Looks through one of the two buckets.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn look_in(release: Handle<Release>, which: u64) -> u64 {
    if let Some(release) = lent::<Release>(release) {
        release.look(Ledger, which);
    }
    0
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn take_best(release: Handle<Release>) -> i64 {
    match lent::<Release>(release) {
        Some(release) => i64::from(release.take_best(Ledger) == Attempt::Done),
        None => 1,
    }
}

#[inline(always)]
pub(super) fn mark_guesses(release: &mut Release) {
    mark_in(release.handle(), 0);
    mark_in(release.handle(), 1);
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn mark_in(release: Handle<Release>, which: u64) -> u64 {
    if let Some(release) = lent::<Release>(release) {
        release.mark_guesses(Ledger, which);
    }
    0
}
