//! Which page is the zero page, and whether this kernel takes pins on it. Until both are known
//! the totals are not, so this has more time than the trials have.

use std::{
    collections::HashSet,
    io::{self, Error},
    time::{Duration, Instant},
};

use super::{
    evidence::Witness,
    memory::{read_across, spliced, zero_pages},
};
use crate::kernel::sys::page_bytes;

/// How long it may take. Quiet hosts take a few milliseconds.
const TIME: Duration = Duration::from_secs(5);

/// Pins of one try: more than all that others pin meanwhile, hopefully, and than a CPU keeps back.
const PINS: usize = 256;

/// What a CPU keeps back at most of its count, where it cannot be asked (`vm_stat_threshold`).
const KEPT_BACK: u64 = 125;

/// So many tries have to say that pins count: one may be others' doing.
const TRIES: u32 = 3;

/// Ledger key of the zero page, on a kernel that takes no pin on it. No hook needs to have been
/// tested, but that plain references are seen.
pub(super) fn uncounted(witness: &Witness<'_>) -> io::Result<Option<u64>> {
    let until = Instant::now() + TIME;
    let pages = zero_pages(PINS)?;
    if counts(witness, &pages, until)? {
        return Ok(None);
    }
    key(witness, &pages[..page_bytes() as usize], until).map(Some)
}

/// The key under which the ledger has the zero page: no other folio is held by us more while a pipe
/// has a plain reference on it, which every kernel takes.
fn key(witness: &Witness<'_>, zero: &[u8], until: Instant) -> io::Result<u64> {
    loop {
        let before = witness.keys_held(until);
        let pipe = spliced(zero)?;
        let after = witness.keys_held(until);
        drop(pipe);
        let fresh: HashSet<u64> = after.difference(&before).copied().collect();
        // No hook sees that the pipe is gone.
        witness.forget(&fresh);
        if fresh.len() == 1
            && let Some(key) = fresh.into_iter().next()
        {
            return Ok(key);
        }
        if Instant::now() >= until {
            return Err(Error::other(
                "pins on it do not count, and it did not show in the ledger",
            ));
        }
    }
}

/// Whether the kernel's own counters see pins of these pages. Others may pin meanwhile.
fn counts(witness: &Witness<'_>, pages: &[u8], until: Instant) -> io::Result<bool> {
    let mut counted = 0;
    loop {
        let before = witness.acquired()?;
        read_across(pages)?;
        let after = witness.acquired()?;
        let kept_back = if after.is_exact { 0 } else { KEPT_BACK };
        match was_counted(after.pins.saturating_sub(before.pins), kept_back) {
            Some(true) if counted + 1 == TRIES => return Ok(true),
            Some(true) => counted += 1,
            Some(false) => return Ok(false),
            None if Instant::now() >= until => {
                return Err(Error::other("others pin too much meanwhile"));
            }
            None => {}
        }
    }
}

/// What a growth of the kernel's count by so much says of [`PINS`] pins; `None` if others pinned
/// more.
fn was_counted(growth: u64, kept_back: u64) -> Option<bool> {
    let pins = PINS as u64;
    if growth < pins - kept_back {
        Some(false)
    } else if growth <= pins + kept_back {
        Some(true)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_pin_meanwhile_is_no_proof_that_pins_count() {
        assert_eq!(was_counted(0, 0), Some(false));
        assert_eq!(was_counted(255, 0), Some(false));
        assert_eq!(was_counted(256, 0), Some(true));
        assert_eq!(was_counted(257, 0), None);
    }

    #[test]
    fn what_a_cpu_keeps_back_is_allowed_for() {
        for counted in [256 - 125, 256, 256 + 125] {
            assert_eq!(was_counted(counted, KEPT_BACK), Some(true), "{counted}");
        }
        // Those that it kept back before.
        assert_eq!(was_counted(125, KEPT_BACK), Some(false));
        assert_eq!(was_counted(400, KEPT_BACK), None);
    }
}
