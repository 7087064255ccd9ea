//! The threads around mkclean: zaps and GUPs, who of them can move and what a move does.

use std::hash::Hash;

use estimator::Compare;
use estimator::trace::{Event, GupStep};

use super::{Action, Before, World};
use crate::entry::Content;
use crate::gup::Gup;
use crate::scenario::{Lock, Scenario, Setting};

impl<C: Compare + Hash> World<C> {
    pub(super) fn gup_actions(
        &self,
        scenario: &Scenario,
        gup: u8,
        state: Gup,
        actions: &mut Vec<Action>,
    ) {
        match state {
            Gup::Idle | Gup::Retry => {
                for (index, entry) in self.present_slots().filter(|(_, it)| it.shared) {
                    let writable = entry.content == Content::Writable;
                    let faults = entry.is_present() && !self.cleaner.holds_page_lock();
                    let locked =
                        scenario.lock == Lock::Held && self.gups.contains(&Gup::Slow(index));
                    if state == Gup::Idle && writable {
                        actions.push(Action::FastGup(gup, index));
                    }
                    if (writable || faults) && !locked {
                        actions.push(Action::SlowGup(gup, index));
                    }
                }
            }
            Gup::Read(_) | Gup::Taken(_) | Gup::Kept(_) | Gup::Slow(_) => {
                actions.push(Action::Gup(gup));
            }
            Gup::Done | Gup::Nobody => {}
        }
    }

    pub(super) fn zap(&mut self, scenario: &Scenario, index: u8, tell: &mut impl FnMut(Event)) {
        let combined = self.combined();
        let Some(entry) = &mut self.entries[usize::from(index)] else {
            return;
        };
        let Some(step) = entry.next_zap(scenario, combined) else {
            return;
        };
        let was_mapped = entry.is_mapped();
        entry.zap(step, scenario.setting);
        self.mapcount -= u8::from(was_mapped && !entry.is_mapped());
        self.raced.zap |= self.cleaner.holds_page_lock();
        tell(Event::Zap(index, step));
    }

    /// In the wrong order the flag comes first, in one step with what follows.
    pub(super) fn flag_early(
        &mut self,
        scenario: &Scenario,
        gup: u8,
        index: u8,
        tell: &mut impl FnMut(Event),
    ) {
        if scenario.setting == Setting::Early {
            self.gup(gup, GupStep::FlagEarly, index, tell);
        }
    }

    pub(super) fn next_gup_step(&self, scenario: &Scenario, gup: u8) -> Option<(GupStep, u8)> {
        match self.gups[usize::from(gup)] {
            Gup::Read(index) => Some((GupStep::FastTake, index)),
            Gup::Taken(index) if self.is_writable(index) => Some((GupStep::FastKeep, index)),
            Gup::Taken(index) => Some((GupStep::FastBackOff, index)),
            Gup::Kept(index) | Gup::Slow(index) if scenario.setting == Setting::Early => {
                Some((GupStep::Return, index))
            }
            Gup::Kept(index) | Gup::Slow(index) => Some((GupStep::Complete, index)),
            Gup::Idle | Gup::Retry | Gup::Done | Gup::Nobody => None,
        }
    }

    pub(super) fn gup(&mut self, gup: u8, step: GupStep, index: u8, tell: &mut impl FnMut(Event)) {
        let after = match step {
            GupStep::FastRead => Gup::Read(index),
            GupStep::FastTake => {
                self.taken += 1;
                Gup::Taken(index)
            }
            GupStep::FastKeep => Gup::Kept(index),
            GupStep::FastBackOff => {
                self.taken -= 1;
                Gup::Retry
            }
            GupStep::SlowTake => {
                self.taken += 1;
                if let Some(entry) = &mut self.entries[usize::from(index)] {
                    entry.content = Content::Writable;
                }
                Gup::Slow(index)
            }
            GupStep::Complete => {
                self.flag = true;
                self.held += 1;
                Gup::Done
            }
            GupStep::Return => {
                self.held += 1;
                Gup::Done
            }
            GupStep::FlagEarly => {
                self.flag = true;
                self.gups[usize::from(gup)]
            }
        };
        self.gups[usize::from(gup)] = after;
        self.raced.gup |= self.cleaner.holds_page_lock();
        if self.before == Before::FalsePositive {
            self.before = Before::Right;
        }
        tell(Event::Gup(index, step));
    }
}
