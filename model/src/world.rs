//! The state of the modelled page, and every step that can follow it.

mod mkclean;
mod others;

use std::hash::Hash;

use estimator::trace::{Event, GupStep, Page};
use estimator::{AsWritten, Compare};

use crate::cleaner::{Cleaner, Round};
use crate::entry::{Content, Entry};
use crate::finding::{Finding, Judged, Raced};
use crate::gup::Gup;
use crate::scenario::{Lock, Scenario, Size};

/// One state: the page, the threads around it, and what a verdict needs to know of the past.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World<C = AsWritten> {
    entries: [Option<Entry>; Size::MOST_ENTRIES],
    gups: [Gup; Size::MOST_GUPS],
    mapcount: u8,
    /// References taken by GUPs and not released: the shadow pins.
    taken: u8,
    /// Of these, those of completed GUPs.
    held: u8,
    flag: bool,
    cleaner: Cleaner<C>,
    raced: Raced,
    before: Before,
    judged: Judged,
}

/// How the walk before was wrong, as far as it matters to the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Before {
    Right,
    FalseNegative,
    /// And no GUP moved since.
    FalsePositive,
}

/// Who moves next. What it does then follows from the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// mkclean takes a step.
    Clean,
    /// The zap of this entry takes a step.
    Zap(u8),
    /// This GUP begins on the fast path, through this entry.
    FastGup(u8, u8),
    /// This GUP begins on the slow path, through this entry.
    SlowGup(u8, u8),
    /// This GUP takes its next step.
    Gup(u8),
    /// A completed GUP is put.
    Put,
}

impl<C: Compare + Hash> World<C> {
    /// The page as a trace finds it, the first mkclean about to take its first step.
    #[must_use]
    pub fn new(scenario: &Scenario, page: Page, compare: C) -> Self {
        let mut entries = [None; Size::MOST_ENTRIES];
        let kinds = (0..page.shared)
            .map(|_| Entry::SHARED)
            .chain((0..page.private).map(|_| Entry::PRIVATE));
        for (slot, entry) in entries.iter_mut().zip(kinds) {
            *slot = Some(entry);
        }
        let mut gups = [Gup::Nobody; Size::MOST_GUPS];
        gups[..usize::from(scenario.size.gups)].fill(Gup::Idle);
        Self {
            entries,
            gups,
            mapcount: page.shared + page.private,
            taken: page.pins,
            held: page.pins,
            flag: page.flag,
            cleaner: Cleaner::entering(Round::First, scenario.estimator, compare),
            raced: Raced::default(),
            before: Before::Right,
            judged: Judged::Nothing,
        }
    }

    /// The page of a state in which nothing has happened yet.
    #[must_use]
    pub fn page(&self, scenario: &Scenario) -> Page {
        let entries = |shared| {
            self.present_slots()
                .filter(|(_, it)| it.shared == shared)
                .count()
        };
        Page {
            shared: u8::try_from(entries(true)).unwrap_or(u8::MAX),
            private: u8::try_from(entries(false)).unwrap_or(u8::MAX),
            pins: self.held,
            flag: self.flag,
            pin: scenario.pin(),
        }
    }

    /// Whether `finding` is in this state.
    #[must_use]
    pub fn shows(&self, finding: Finding) -> bool {
        match finding {
            Finding::Unsound => !self.is_sound(),
            Finding::GupInWalk => {
                self.cleaner.walk().is_some() && self.raced.gup && self.gups.contains(&Gup::Done)
            }
            Finding::LastWalkEnds => matches!(self.cleaner, Cleaner::Over),
            _ => finding.is_in(self.judged),
        }
    }

    /// Who can move.
    pub fn actions(&self, scenario: &Scenario, actions: &mut Vec<Action>) {
        if matches!(self.cleaner, Cleaner::Over) {
            return;
        }
        if !self.walk_waits(scenario.lock) {
            actions.push(Action::Clean);
        }
        for (index, entry) in self.present_slots() {
            let blocked = scenario.lock == Lock::Held && self.gups.contains(&Gup::Slow(index));
            if !blocked && entry.next_zap(scenario, self.combined()).is_some() {
                actions.push(Action::Zap(index));
            }
        }
        for (gup, state) in (0_u8..).zip(self.gups) {
            self.gup_actions(scenario, gup, state, actions);
        }
        if self.held > 0 {
            actions.push(Action::Put);
        }
    }

    /// Takes a step, and tells what happened.
    #[must_use]
    pub fn step(
        &self,
        scenario: &Scenario,
        action: Action,
        compare: C,
        mut tell: impl FnMut(Event),
    ) -> Self {
        let mut next = self.clone();
        next.judged = Judged::Nothing;
        match action {
            Action::Clean => next.clean(scenario, compare, &mut tell),
            Action::Zap(index) => next.zap(scenario, index, &mut tell),
            Action::FastGup(gup, index) => {
                next.flag_early(scenario, gup, index, &mut tell);
                next.gup(gup, GupStep::FastRead, index, &mut tell);
            }
            Action::SlowGup(gup, index) => {
                next.flag_early(scenario, gup, index, &mut tell);
                next.gup(gup, GupStep::SlowTake, index, &mut tell);
            }
            Action::Gup(gup) => {
                if let Some((step, index)) = next.next_gup_step(scenario, gup) {
                    next.gup(gup, step, index, &mut tell);
                }
            }
            Action::Put => {
                next.held -= 1;
                next.taken -= 1;
                next.raced.put |= next.cleaner.holds_page_lock();
                tell(Event::Put);
            }
        }
        // GUPs are alike: which of them stands where makes no difference.
        next.gups.sort_unstable();
        next
    }

    fn combined(&self) -> u32 {
        u32::from(self.mapcount) + u32::from(self.taken)
    }

    fn is_writable(&self, index: u8) -> bool {
        self.entries[usize::from(index)].is_some_and(|it| it.content == Content::Writable)
    }

    fn present_slots(&self) -> impl Iterator<Item = (u8, Entry)> + use<C> {
        (0_u8..)
            .zip(self.entries)
            .filter_map(|(index, it)| Some((index, it?)))
    }

    fn is_sound(&self) -> bool {
        let mapped = self
            .present_slots()
            .filter(|(_, it)| it.is_mapped())
            .count();
        let open = self
            .gups
            .iter()
            .filter(|it| matches!(it, Gup::Taken(_) | Gup::Kept(_) | Gup::Slow(_)));
        usize::from(self.mapcount) == mapped
            && usize::from(self.taken) == usize::from(self.held) + open.count()
    }
}
