//! Holding the ledger against the kernel's own count of a folio's pins.
//!
//! A pin is in the kernel's count before it is in the ledger, and a release leaves the
//! ledger before it leaves that count: a ledger that saw everything never has more than
//! the kernel. So what it has more is of releases that no probe saw. It stays that much
//! whatever is pinned and released meanwhile, and is taken off. What it has less may be
//! on its way in; where a folio rests, and no call is under way, it is of pins that no
//! probe saw, and is entered without an owner.
//!
//! The count of a small folio tells pins from plain references only as far as nobody has a thousand of
//! those. Where it leaves open what is a pin, the kernel's count of all pins has the last word: no more is
//! entered than that has beyond the ledger, and what only may be too much stays unless the ledger
//! has more than that.
//!
//! Leaves out asking the kernel and changing the ledger: here it is decided.

use std::collections::HashMap;

use probe_abi::{Amendment, Folio, Word, stratum};

use crate::kernel::{
    judgement::{self, FlagBits, Held, is_of_something},
    maps::Slot,
};

/// Looks at which a folio must have been found to lack pins before they are entered.
const LOOKS_BEFORE_ENTERING: u32 = 3;

/// Folios that are remembered as wrong, at most: the others are found again.
const MOST_SUSPICIONS: usize = 1 << 16;

/// What is remembered from one look to the next.
#[derive(Debug, Default)]
pub(crate) struct Audit {
    suspicions: HashMap<u64, Suspicion>,
    off: Off,
}

/// By how much the ledger's total is off the kernel's, as far as that is sure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Off {
    /// Pins that the ledger has not, those from before the start among them.
    pub(crate) lacking: u64,
    /// Pins that the kernel has not.
    pub(crate) too_many: u64,
    /// Whether that is so though all was written off that is sure to be too much.
    pub(crate) stays: bool,
}

/// What was found of a folio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Suspicion {
    /// The ledger has at least so many pins more than the kernel.
    Excess(u64),
    /// So many fewer, and at how many looks; the folio's slots looked like that.
    Lack { pins: u64, looks: u32, slots: u64 },
    /// So many plain references more than the count has room for.
    References(u64),
}

/// What is to be changed, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Repair {
    /// `None` for what counts nothing.
    pub(crate) cause: Option<Cause>,
    pub(crate) amendment: Amendment,
}

/// Why the ledger was put right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Cause {
    /// Pins whose release was not seen are taken off.
    ReleaseMissed,
    /// Pins that were not seen are entered.
    PinMissed,
    /// Plain references whose release no hook sees are taken off.
    ReferenceGone,
}

impl Cause {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::ReleaseMissed, Self::PinMissed, Self::ReferenceGone];

    /// Label value.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::ReleaseMissed => "release_missed",
            Self::PinMissed => "pin_missed",
            Self::ReferenceGone => "reference_gone",
        }
    }
}

/// What is known of the owners and calls around a folio.
#[derive(Clone, Copy)]
pub(crate) struct Around<'a> {
    /// Whether an owner's process has ended: what it holds too much is its own first.
    pub(crate) has_ended: &'a dyn Fn(u32) -> bool,
    /// Whether what a folio lacks may come without us: from a call that may be asleep, or from the
    /// census.
    pub(crate) may_come: bool,
    /// The first stratum of which the ledger has all: what folios of those below lack, it passes over.
    pub(crate) complete_from: usize,
    pub(crate) bits: FlagBits,
}

impl Around<'_> {
    /// Whether what a folio lacks was missed: nothing else explains it.
    fn was_missed(&self, key: u64) -> bool {
        !self.may_come && stratum(key) as usize >= self.complete_from
    }
}

impl Audit {
    /// From now on this much may be put right where a folio alone does not tell.
    pub(crate) fn begin(&mut self, off: Off) {
        self.off = off;
    }

    /// Compares one folio. `before` and `after` are its slots when the kernel was about to be
    /// asked and when it had answered: only what was the same at both can be compared with
    /// what it said in between.
    pub(crate) fn compare(
        &mut self,
        folio: &Folio,
        before: &[Slot],
        after: &[Slot],
        around: Around<'_>,
    ) -> Vec<Repair> {
        if before != after {
            self.suspicions.remove(&folio.key);
            return Vec::new();
        }
        let pins = after.iter().map(Slot::pins).sum::<u64>();
        let found = kernels(folio, after, around.bits)
            .and_then(|kernel| self.suspicion(folio, kernel, pins, after));
        let Some(found) = found else {
            self.suspicions.remove(&folio.key);
            return tombstones(folio, after);
        };
        let known = self.suspicions.remove(&folio.key);
        match (known, found) {
            (Some(Suspicion::Excess(first)), Suspicion::Excess(second)) => {
                let n = first.min(second);
                self.off.too_many = self.off.too_many.saturating_sub(n);
                write_off(after, n, Cause::ReleaseMissed, around.has_ended, Slot::pins)
            }
            (Some(Suspicion::References(first)), Suspicion::References(second)) => {
                let n = first.min(second);
                write_off(after, n, Cause::ReferenceGone, &|_| false, Slot::references)
            }
            (
                Some(Suspicion::Lack { pins, looks, slots }),
                Suspicion::Lack {
                    pins: now,
                    slots: same,
                    ..
                },
            ) if slots == same && around.was_missed(folio.key) => {
                let (pins, looks) = (pins.min(now), looks + 1);
                if looks >= LOOKS_BEFORE_ENTERING {
                    self.off.lacking = self.off.lacking.saturating_sub(pins);
                    return vec![enter(folio, after, pins)];
                }
                self.remember(folio.key, Suspicion::Lack { pins, looks, slots });
                Vec::new()
            }
            (_, found) => {
                self.remember(folio.key, found);
                Vec::new()
            }
        }
    }

    /// What may be wrong with a folio of which the ledger has so many pins.
    fn suspicion(
        &self,
        folio: &Folio,
        kernel: Held,
        pins: u64,
        slots: &[Slot],
    ) -> Option<Suspicion> {
        let sure = pins.saturating_sub(kernel.at_most);
        let likely = pins.saturating_sub(kernel.likely);
        if sure > 0 {
            return Some(Suspicion::Excess(sure));
        }
        let too_many = likely.min(self.off.too_many);
        if too_many > 0 {
            // Pins or plain references: what is sure goes first.
            return self.off.stays.then_some(Suspicion::Excess(too_many));
        }
        let may_lack = if folio.state == Folio::LARGE {
            u64::MAX
        } else {
            self.off.lacking
        };
        let lacking = kernel.beyond(pins).min(may_lack);
        if lacking > 0 && pins > 0 && is_of_something(folio) {
            return Some(Suspicion::Lack {
                pins: lacking,
                looks: 1,
                slots: digest(slots),
            });
        }
        let held = slots.iter().map(Slot::references).sum::<u64>();
        let gone = held.saturating_sub(kernel.room(pins.max(kernel.beyond(0)))?);
        (gone > 0).then_some(Suspicion::References(gone))
    }

    /// Folios that have to be looked at again.
    pub(crate) fn suspicious(&self) -> impl Iterator<Item = u64> {
        self.suspicions.keys().copied()
    }

    fn remember(&mut self, key: u64, suspicion: Suspicion) {
        if self.suspicions.len() < MOST_SUSPICIONS {
            self.suspicions.insert(key, suspicion);
        }
    }
}

/// Pins that the kernel has of a folio and the ledger has not, and what its slots looked like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lack {
    pub(super) pins: u64,
    pub(super) slots: u64,
}

/// What a folio lacks whose slots were these before and after the kernel was asked; `None` where
/// that cannot be told now.
pub(super) fn lack(folio: &Folio, before: &[Slot], after: &[Slot], bits: FlagBits) -> Option<Lack> {
    let pins = after.iter().map(Slot::pins).sum::<u64>();
    let kernel = kernels(folio, after, bits).filter(|_| before == after)?;
    Some(Lack {
        pins: kernel.beyond(pins),
        slots: digest(after),
    })
}

/// `None` where it cannot be told.
fn kernels(folio: &Folio, slots: &[Slot], bits: FlagBits) -> Option<Held> {
    if folio.state == Folio::TAIL {
        // Whatever was pinned as this folio is not any more.
        return Some(Held::NOTHING);
    }
    let known = slots.iter().map(Slot::references).sum();
    judgement::held(folio, known, bits)
}

fn digest(slots: &[Slot]) -> u64 {
    slots.iter().fold(0, |digest: u64, slot| {
        let gups = u64::from(slot.note.gups) << 16 | u64::from(slot.note.owner);
        (digest.rotate_left(9) ^ slot.word.0).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ gups
    })
}

/// Takes `n` off the slots: of owners that have ended first, then of the newest, as a
/// release would. Where it may as well have been another owner's, what is left is a guess.
fn write_off(
    slots: &[Slot],
    mut n: u64,
    cause: Cause,
    has_ended: &dyn Fn(u32) -> bool,
    count: impl Fn(&Slot) -> u64,
) -> Vec<Repair> {
    let mut slots: Vec<&Slot> = slots.iter().filter(|it| count(it) > 0).collect();
    slots.sort_by_key(|it| (!has_ended(it.owner()), std::cmp::Reverse(it.note.since_ns)));
    let mut repairs = Vec::new();
    let (mut poorer, mut left) = (Vec::new(), Vec::new());
    for slot in slots {
        let taken = n.min(count(slot));
        n -= taken;
        if taken > 0 {
            poorer.push(slot.owner());
            repairs.push(Repair {
                cause: Some(cause),
                amendment: Amendment {
                    kind: Amendment::WRITE_OFF,
                    n: taken,
                    word: slot.word.0 & Word::IDENTITY,
                    ..at(slot)
                },
            });
        }
        if taken < count(slot) {
            left.push(slot);
        }
    }
    let is_like = |owner: u32, slot: &Slot| has_ended(owner) == has_ended(slot.owner());
    let is_rival = |slot: &&Slot| {
        let mut poorer = poorer.iter();
        poorer.any(|it| *it != slot.owner() && is_like(*it, slot))
    };
    if left.iter().any(is_rival) {
        left.retain(|slot| poorer.iter().any(|it| is_like(*it, slot)));
        repairs.extend(left.into_iter().map(|slot| Repair {
            cause: None,
            amendment: Amendment {
                kind: Amendment::MARK_GUESS,
                word: slot.word.0 & Word::IDENTITY,
                ..at(slot)
            },
        }));
    }
    repairs
}

/// Pins that the kernel holds on a folio of the ledger, of nobody in particular.
fn enter(folio: &Folio, slots: &[Slot], n: u64) -> Repair {
    let memcg = slots.first().map_or(0, |it| it.note.memcg);
    Repair {
        cause: Some(Cause::PinMissed),
        amendment: Amendment {
            kind: Amendment::ENTER,
            word: folio.key << Word::KEY_SHIFT,
            n,
            mapping: folio.mapping,
            memcg,
            order: folio.pages.max(1).ilog2(),
            ..Amendment::default()
        },
    }
}

/// Tombstones of what is another file's now: no walk will come for them.
fn tombstones(folio: &Folio, slots: &[Slot]) -> Vec<Repair> {
    let is_another = |it: &&Slot| it.word.is_tombstone() && it.note.mapping != folio.mapping;
    let forget = |slot: &Slot| Repair {
        cause: None,
        amendment: Amendment {
            kind: Amendment::FORGET,
            word: slot.word.0,
            ..at(slot)
        },
    };
    slots.iter().filter(is_another).map(forget).collect()
}

fn at(slot: &Slot) -> Amendment {
    Amendment {
        bucket: slot.bucket,
        slot: slot.slot,
        owner: slot.owner(),
        ..Amendment::default()
    }
}

#[cfg(test)]
mod tests;
