//! Carries the audit out: which folios are looked at and when, and what was put right.
//!
//! In the background the whole ledger is gone through once in ten minutes. It is gone through
//! at once when the kernel has kept programs from a release or a pin, when the ledger's balance
//! is not the kernel's, and when a process has ended and its pins are still there.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use bytemuck::Zeroable as _;
use log::{debug, info};
use probe_abi::{Amendment, FOLIOS_AT_ONCE, Word};

use super::audit::{Around, Audit, Cause, Off, Repair};
use crate::kernel::{
    inspect::Inspector,
    maps::{LedgerView, Slot},
};

/// How long the background takes for the whole ledger, seconds.
const ROUND_SECONDS: usize = 600;

/// What an urgent round may take of a second, and the background.
const URGENT: Duration = Duration::from_millis(100);
const CALM: Duration = Duration::from_millis(10);

/// From the end of an urgent round to the next one.
const PAUSE: Duration = Duration::from_secs(2);

/// Folios that others have asked to look at, at most.
const MOST_SUSPECTED: usize = 1 << 14;

/// Places with a hint from which on unneeded ones are searched for, how often, and for how many hints to a
/// page that left the ledger since: each leaves one hint unneeded at most.
const MANY_HINTS: u64 = 64;
const HINTS_A_PAGE: u64 = 4;
const HINTS_EVERY: Duration = Duration::from_secs(60);

/// Repairs are logged no more often.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// What the audit did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Audited {
    /// References put right, by [`Cause::ALL`].
    pub(crate) repaired: [u64; Cause::ALL.len()],
    /// Folios compared.
    pub(crate) folios: u64,
    /// Rounds through the whole ledger.
    pub(crate) rounds: u64,
}

impl Audited {
    /// References put right for a cause.
    pub(crate) fn of(&self, cause: Cause) -> u64 {
        self.repaired[cause as usize]
    }
}

/// Whom it asks and changes.
#[derive(Clone, Copy)]
pub(crate) struct Ledger<'a> {
    pub(crate) view: &'a LedgerView,
    pub(crate) inspector: &'a Inspector,
}

impl<'a> Ledger<'a> {
    pub(crate) const fn of(view: &'a LedgerView, inspector: &'a Inspector) -> Self {
        Self { view, inspector }
    }
}

/// The audit under way.
#[derive(Debug, Default)]
pub(crate) struct Auditor {
    audit: Audit,
    audited: Audited,
    /// The next bucket, and when the round began that it is part of.
    next: usize,
    began: Option<Duration>,
    is_urgent: bool,
    /// Whether this round found anything wrong.
    found: bool,
    /// When the last urgent round ended.
    ended: Duration,
    /// When the last round began that has ended, and the last of those that found nothing.
    last_began: Option<Duration>,
    last_clean: Option<Duration>,
    /// Folios that others have asked to look at.
    suspected: HashSet<u64>,
    hints_cleaned: Duration,
    /// How many pages had left the ledger by then.
    gone_then: u64,
    /// What was told of repairs, and when.
    told: [u64; Cause::ALL.len()],
    told_at: Option<Duration>,
}

impl Auditor {
    /// Has the folio of a key looked at soon.
    pub(crate) fn suspect(&mut self, key: u64) {
        if self.suspected.len() < MOST_SUSPECTED {
            self.suspected.insert(key);
        }
    }

    /// Has the whole ledger looked at, from now on.
    pub(crate) fn hurry(&mut self, now: Duration) {
        let may_begin = now >= self.ended + PAUSE;
        if !self.is_urgent && may_begin {
            self.is_urgent = true;
            self.begin(now);
        }
    }

    fn begin(&mut self, now: Duration) {
        self.next = 0;
        self.found = false;
        self.began = Some(now);
    }

    /// What it did so far.
    pub(crate) fn audited(&self) -> Audited {
        self.audited
    }

    /// Whether the whole ledger was held against the kernel, in a round that began after
    /// `since`, and all is well or put right that was found.
    pub(crate) fn has_settled_since(&self, since: Duration) -> bool {
        self.last_began.is_some_and(|it| it >= since) && self.audit.suspicious().next().is_none()
    }

    /// Whether such a round found nothing, whatever was found after it.
    pub(crate) fn was_clean_since(&self, since: Duration) -> bool {
        self.last_clean.is_some_and(|it| it >= since)
    }

    /// The same, and nothing was found since.
    pub(crate) fn is_clean_since(&self, since: Duration) -> bool {
        self.last_clean.is_some_and(|it| it >= since) && self.audit.suspicious().next().is_none()
    }

    /// A second has passed, and the totals were found to be off so much; `now` is of the time awake.
    pub(crate) fn tick(&mut self, ledger: Ledger<'_>, around: Around<'_>, off: Off, now: Duration) {
        let start = Instant::now();
        self.audit.begin(off);
        let mut seen = HashSet::new();
        // At the second look what was wrong at the first is taken off.
        let again: Vec<u64> = self.audit.suspicious().collect();
        let asked = std::mem::take(&mut self.suspected);
        for keys in [again, asked.into_iter().collect()] {
            self.compare(ledger, around, &keys, &mut seen);
        }
        if self.began.is_none() {
            self.begin(now);
        }
        let buckets = ledger.view.buckets();
        let (until, most) = if self.is_urgent {
            (start + URGENT, buckets)
        } else {
            (start + CALM, buckets.div_ceil(ROUND_SECONDS))
        };
        let last = (self.next + most).min(buckets);
        while self.next < last && Instant::now() < until {
            let keys = self.next_keys(ledger.view, last);
            self.compare(ledger, around, &keys, &mut seen);
        }
        if self.next >= buckets {
            self.end(now);
        }
        self.tell(now);
    }

    /// Folios with slots from the next bucket on, as many as are asked for at once.
    fn next_keys(&mut self, view: &LedgerView, last: usize) -> Vec<u64> {
        let mut keys = Vec::new();
        while self.next < last && keys.len() + probe_abi::BUCKET_SLOTS <= FOLIOS_AT_ONCE {
            keys.extend(view.slots_in(self.next).map(|it| it.key()));
            self.next += 1;
        }
        keys
    }

    fn end(&mut self, now: Duration) {
        self.audited.rounds += 1;
        self.last_began = self.began.take();
        if !self.found {
            self.last_clean = self.last_began;
        }
        if self.is_urgent {
            debug!("the ledger was held against the kernel");
            self.is_urgent = false;
            self.ended = now;
        }
    }

    fn compare(
        &mut self,
        ledger: Ledger<'_>,
        around: Around<'_>,
        keys: &[u64],
        seen: &mut HashSet<u64>,
    ) {
        // Two looks are a second apart: a release on its way has arrived by then.
        let keys: Vec<u64> = keys.iter().copied().filter(|it| seen.insert(*it)).collect();
        for keys in keys.chunks(FOLIOS_AT_ONCE) {
            let slots = |key: &u64| -> Vec<Slot> { ledger.view.slots_of(*key).collect() };
            let before: Vec<Vec<Slot>> = keys.iter().map(slots).collect();
            let Some(folios) = ledger.inspector.folios(keys) else {
                return;
            };
            let mut repairs = Vec::new();
            for (folio, before) in folios.iter().zip(&before) {
                let after = slots(&folio.key);
                repairs.extend(self.audit.compare(folio, before, &after, around));
            }
            self.audited.folios += folios.len() as u64;
            self.repair(ledger.inspector, &repairs);
        }
        self.found |= self.audit.suspicious().next().is_some();
    }

    fn repair(&mut self, inspector: &Inspector, repairs: &[Repair]) {
        if repairs.is_empty() {
            return;
        }
        let mut amendments: Vec<Amendment> = repairs.iter().map(|it| it.amendment).collect();
        inspector.amend(&mut amendments);
        for (repair, amendment) in repairs.iter().zip(&amendments) {
            if let Some(cause) = repair.cause {
                self.audited.repaired[cause as usize] += amendment.done;
            }
        }
    }

    /// Tells what was repaired since it was told last, once a minute at most.
    fn tell(&mut self, now: Duration) {
        if self.told_at.is_none_or(|it| now >= it + TOLD_EVERY) && self.tell_rest() {
            self.told_at = Some(now);
        }
    }

    /// Tells what was repaired and not told yet; whether there was anything.
    pub(crate) fn tell_rest(&mut self) -> bool {
        let mut is_any = false;
        for cause in [Cause::ReleaseMissed, Cause::PinMissed] {
            let n = self.audited.of(cause) - self.told[cause as usize];
            if n > 0 {
                info!("the ledger was repaired: {n} pins, {}", cause.name());
                is_any = true;
            }
        }
        self.told = self.audited.repaired;
        is_any
    }

    /// Takes away hints that lead nowhere, if there are many: with them every release of such a
    /// place looks in two buckets.
    pub(crate) fn clean_hints(&mut self, ledger: Ledger<'_>, hints: u64, gone: u64, now: Duration) {
        let gone = gone + self.audited.repaired.iter().sum::<u64>();
        let is_time = now >= self.hints_cleaned + HINTS_EVERY;
        if !is_time || !may_many_be_unneeded(hints, gone.saturating_sub(self.gone_then)) {
            return;
        }
        self.hints_cleaned = now;
        self.gone_then = gone;
        let view = ledger.view;
        let mut doubted: HashSet<(u32, u32)> = HashSet::new();
        let hinted = (0..view.buckets()).flat_map(|bucket| {
            let places = (0..probe_abi::BUCKET_SLOTS).map(move |slot| (bucket, slot));
            places.filter(|(bucket, slot)| view.word(*bucket, *slot).0 & Word::HINT != 0)
        });
        let mut amendments: Vec<Amendment> = hinted
            .map(|(bucket, slot)| amendment(Amendment::DOUBT_HINT, bucket as u32, slot as u32))
            .collect();
        ledger.inspector.amend(&mut amendments);
        let taken = amendments.iter().filter(|it| it.done == 1);
        doubted.extend(taken.map(|it| (it.bucket, it.slot)));
        // Whoever puts a folio elsewhere from now on takes the doubt away again.
        for slot in view.slots() {
            let preferred = view.preferred(slot.key());
            if preferred != (slot.bucket, slot.slot) {
                doubted.remove(&preferred);
            }
        }
        let mut amendments: Vec<Amendment> = doubted
            .into_iter()
            .map(|(bucket, slot)| amendment(Amendment::CLEAR_HINT, bucket, slot))
            .collect();
        ledger.inspector.amend(&mut amendments);
    }
}

/// Whether so many hints may be worth a search, when so many pages have left since the last one.
fn may_many_be_unneeded(hints: u64, gone: u64) -> bool {
    hints >= MANY_HINTS && gone.saturating_mul(HINTS_A_PAGE) >= hints
}

fn amendment(kind: u32, bucket: u32, slot: u32) -> Amendment {
    Amendment {
        kind,
        bucket,
        slot,
        ..Amendment::zeroed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_are_searched_for_unneeded_ones_when_a_quarter_may_be() {
        assert!(!may_many_be_unneeded(63, 1000), "few cost nothing");
        assert!(!may_many_be_unneeded(64, 15));
        assert!(may_many_be_unneeded(64, 16));
        assert!(!may_many_be_unneeded(100_000, 0), "at rest");
    }
}
