//! The steps of mkclean: what the estimator asks is answered from the page, and its verdict is judged.

use std::hash::Hash;

use estimator::trace::{Counter, Event, Met};
use estimator::{Answer, Ask, Compare, Machine, Next, Pincount, Verdict};

use super::{Before, World};
use crate::cleaner::{Cleaner, Round, Walk, pass};
use crate::entry::Content;
use crate::finding::{Judged, Raced};
use crate::gup::Gup;
use crate::scenario::{Lock, Scenario, Setting, Walks};

/// The references of the page cache and of the caller of mkclean.
const OTHER_REFERENCES: u32 = 2;

impl<C: Compare + Hash> World<C> {
    pub(super) fn clean(&mut self, scenario: &Scenario, compare: C, tell: &mut impl FnMut(Event)) {
        match self.cleaner {
            Cleaner::Inside(round, machine, walk) => {
                if let Next::Ask(ask) = machine.next() {
                    self.answer(scenario, round, machine, walk, ask, tell);
                }
            }
            Cleaner::Cleaning(round, walk) => {
                if let Some((walk, event)) = self.pass_next(Ask::Walk, walk) {
                    self.cleaner = Cleaner::Cleaning(round, walk);
                    tell(event);
                } else {
                    let machine = Machine::with_compare(scenario.estimator, compare);
                    self.cleaner = Cleaner::Inside(round, machine, None);
                    tell(Event::EndWalk(walk.found.into()));
                }
            }
            Cleaner::Between => {
                self.cleaner = Cleaner::entering(Round::Second, scenario.estimator, compare);
                let zap = self
                    .present_slots()
                    .any(|(_, it)| it.is_being_zapped(scenario));
                let gup = self.gups.iter().any(|it| it.is_under_way());
                self.raced = Raced {
                    zap,
                    gup,
                    put: false,
                };
                tell(Event::Enter);
            }
            Cleaner::Over => {}
        }
    }

    /// Takes one step towards the answer to `ask`, and gives it when it is there.
    fn answer(
        &mut self,
        scenario: &Scenario,
        round: Round,
        machine: Machine<C>,
        walk: Option<Walk>,
        ask: Ask,
        tell: &mut impl FnMut(Event),
    ) {
        let (event, answer) = match ask {
            Ask::Walk | Ask::MarkerWalk | Ask::RecheckWalk { .. } => {
                let walk = walk.unwrap_or(Walk::START);
                if let Some((walk, event)) = self.pass_next(ask, walk) {
                    self.cleaner = Cleaner::Inside(round, machine, Some(walk));
                    return tell(event);
                }
                let found = u32::from(walk.found);
                (Event::EndWalk(found), Answer::Number(found))
            }
            Ask::ReadFlag => (Event::ReadFlag(self.flag), Answer::Flag(self.flag)),
            Ask::TakeFlag => {
                let was = std::mem::take(&mut self.flag);
                (Event::TakeFlag(was), Answer::Flag(was))
            }
            Ask::ClearFlag => self.put_flag(false),
            Ask::SetFlag => self.put_flag(true),
            Ask::Count => number(Counter::Combined, self.combined()),
            Ask::Explained => number(
                Counter::Explained,
                u32::from(self.mapcount) + OTHER_REFERENCES,
            ),
            Ask::Refcount => {
                let references = self.refcount(scenario);
                (
                    Event::Read(Counter::Refcount, references.into()),
                    Answer::Refcount(references),
                )
            }
            Ask::Pincount if scenario.setting == Setting::Large => {
                let pins = i32::from(self.taken);
                (
                    Event::Read(Counter::Pincount, pins.into()),
                    Answer::Pincount(Pincount::Exact(pins)),
                )
            }
            Ask::Pincount => {
                // A small folio, for good: no step of its own.
                let machine = machine.give(Answer::Pincount(Pincount::Absent));
                let Next::Ask(ask) = machine.next() else {
                    return;
                };
                return self.answer(scenario, round, machine, walk, ask, tell);
            }
            Ask::Pins => number(Counter::Pins, u32::from(self.held)),
        };
        tell(event);
        let machine = machine.give(answer);
        match machine.next() {
            Next::Ask(_) => self.cleaner = Cleaner::Inside(round, machine, None),
            Next::Verdict(verdict) => {
                tell(Event::Says(verdict.outcome()));
                self.decide(scenario, round, verdict);
            }
        }
    }

    fn decide(&mut self, scenario: &Scenario, round: Round, verdict: Verdict) {
        self.judged = self.judge(verdict);
        let gup_under_way = self.gups.iter().any(|it| it.is_under_way());
        self.before = match self.judged {
            Judged::FalsePositive { .. } if !gup_under_way => Before::FalsePositive,
            Judged::FalseNegative { .. } => Before::FalseNegative,
            Judged::FalsePositive { .. }
            | Judged::Nothing
            | Judged::RightlyPinned
            | Judged::RightlyFree { .. }
            | Judged::Uncertain => Before::Right,
        };
        self.raced = Raced::default();
        self.cleaner = match (round, scenario.size.walks) {
            (Round::First, Walks::Two) => Cleaner::Between,
            (Round::First, Walks::One) | (Round::Second, _) => Cleaner::Over,
        };
    }

    fn judge(&self, verdict: Verdict) -> Judged {
        match verdict {
            Verdict::Uncertain(_) => Judged::Uncertain,
            Verdict::NotPinned if self.held > 0 => {
                let again = self.before == Before::FalseNegative;
                Judged::FalseNegative {
                    raced: self.raced,
                    again,
                }
            }
            Verdict::NotPinned => Judged::RightlyFree {
                healed: self.before == Before::FalsePositive,
            },
            Verdict::Pinned if self.held > 0 || self.will_be_held() => Judged::RightlyPinned,
            Verdict::Pinned => {
                let again = self.before == Before::FalsePositive;
                Judged::FalsePositive {
                    raced: self.raced,
                    again,
                }
            }
        }
    }

    /// A reference is taken that need not be released.
    fn will_be_held(&self) -> bool {
        self.gups.iter().any(|it| match *it {
            Gup::Taken(index) => self.is_writable(index),
            Gup::Kept(_) | Gup::Slow(_) => true,
            Gup::Idle | Gup::Read(_) | Gup::Retry | Gup::Done | Gup::Nobody => false,
        })
    }

    /// Passes the next entry of a walk, unless it is at its end.
    fn pass_next(&mut self, ask: Ask, walk: Walk) -> Option<(Walk, Event)> {
        let index = self.next_stop(walk.next)?;
        let met = pass(ask, self.entries[usize::from(index)].as_mut()?);
        let found = walk.found + u8::from(matches!(met, Met::Present | Met::Marker));
        Some((
            Walk {
                next: index + 1,
                found,
            },
            Event::Pass(index, met),
        ))
    }

    /// The next entry at which a walk stops: private mappings and freed page tables are skipped.
    fn next_stop(&self, from: u8) -> Option<u8> {
        self.present_slots()
            .find(|(index, it)| *index >= from && it.shared && it.content != Content::Gone)
            .map(|(index, _)| index)
    }

    pub(super) fn walk_waits(&self, lock: Lock) -> bool {
        let Some((_, walk)) = self.cleaner.walk() else {
            return false;
        };
        let Some(index) = self.next_stop(walk.next) else {
            return false;
        };
        let zapped = self.entries[usize::from(index)].is_some_and(|it| it.is_locked_by_zap(lock));
        zapped || lock == Lock::Held && self.gups.contains(&Gup::Slow(index))
    }

    fn refcount(&self, scenario: &Scenario) -> i32 {
        let mappings = self
            .present_slots()
            .filter(|(_, it)| it.holds_reference())
            .count();
        let pins = u32::from(self.taken) * scenario.pin().weight();
        i32::try_from(mappings).unwrap_or(i32::MAX) + (pins + OTHER_REFERENCES).cast_signed()
    }

    fn put_flag(&mut self, flag: bool) -> (Event, Answer) {
        self.flag = flag;
        (Event::PutFlag(flag), Answer::Done)
    }
}

fn number(counter: Counter, value: u32) -> (Event, Answer) {
    (Event::Read(counter, value.into()), Answer::Number(value))
}
