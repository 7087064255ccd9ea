//! The state of the modelled page, and every step that can follow it.

use std::hash::Hash;

use estimator::trace::{Counter, Event, GupStep, Met, Page};
use estimator::{Answer, AsWritten, Ask, Compare, Machine, Next, Pincount, Verdict};

use crate::cleaner::{Cleaner, Round, Walk, pass};
use crate::entry::{Content, Entry};
use crate::finding::{Finding, Judged, Raced};
use crate::gup::Gup;
use crate::scenario::{Lock, Scenario, Setting, Size, Walks};

/// The references of the page cache and of the caller of mkclean.
const OTHER_REFERENCES: u32 = 2;

/// One state: the page, the threads around it, and what a verdict needs to know of the past.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World<C = AsWritten> {
    entries: [Option<Entry>; Size::MOST_ENTRIES],
    gups: [Gup; Size::MOST_GUPS],
    mapcount: u8,
    /// References taken by GUPs and not given back: the shadow pins.
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
        let mut gups = [Gup::Done; Size::MOST_GUPS];
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
            weight: scenario.weight(),
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

    fn gup_actions(&self, scenario: &Scenario, gup: u8, state: Gup, actions: &mut Vec<Action>) {
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
            Gup::Done => {}
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
                next.gup(gup, GupStep::FastRead, index, &mut tell);
            }
            Action::SlowGup(gup, index) => {
                next.gup(gup, GupStep::SlowTake, index, &mut tell);
            }
            Action::Gup(gup) => {
                if let Some((step, index)) = next.next_gup_step(gup) {
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

    fn zap(&mut self, scenario: &Scenario, index: u8, tell: &mut impl FnMut(Event)) {
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

    fn next_gup_step(&self, gup: u8) -> Option<(GupStep, u8)> {
        match self.gups[usize::from(gup)] {
            Gup::Read(index) => Some((GupStep::FastTake, index)),
            Gup::Taken(index) if self.is_writable(index) => Some((GupStep::FastKeep, index)),
            Gup::Taken(index) => Some((GupStep::FastBackOff, index)),
            Gup::Kept(index) | Gup::Slow(index) => Some((GupStep::Complete, index)),
            Gup::Idle | Gup::Retry | Gup::Done => None,
        }
    }

    fn gup(&mut self, gup: u8, step: GupStep, index: u8, tell: &mut impl FnMut(Event)) {
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
        };
        self.gups[usize::from(gup)] = after;
        self.raced.gup |= self.cleaner.holds_page_lock();
        if self.before == Before::FalsePositive {
            self.before = Before::Right;
        }
        tell(Event::Gup(index, step));
    }

    fn clean(&mut self, scenario: &Scenario, compare: C, tell: &mut impl FnMut(Event)) {
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
            _ => Before::Right,
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

    /// A reference is taken that need not be given back.
    fn will_be_held(&self) -> bool {
        self.gups.iter().any(|it| match *it {
            Gup::Taken(index) => self.is_writable(index),
            Gup::Kept(_) | Gup::Slow(_) => true,
            Gup::Idle | Gup::Read(_) | Gup::Retry | Gup::Done => false,
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

    fn walk_waits(&self, lock: Lock) -> bool {
        let Some((_, walk)) = self.cleaner.walk() else {
            return false;
        };
        let Some(index) = self.next_stop(walk.next) else {
            return false;
        };
        let zapped = self.entries[usize::from(index)].is_some_and(|it| it.is_locked_by_zap(lock));
        zapped || lock == Lock::Held && self.gups.contains(&Gup::Slow(index))
    }

    fn put_flag(&mut self, flag: bool) -> (Event, Answer) {
        self.flag = flag;
        (Event::PutFlag(flag), Answer::Done)
    }

    fn combined(&self) -> u32 {
        u32::from(self.mapcount) + u32::from(self.taken)
    }

    fn refcount(&self, scenario: &Scenario) -> i32 {
        let mappings = self
            .present_slots()
            .filter(|(_, it)| it.holds_reference())
            .count();
        let pins = u32::from(self.taken) * scenario.weight();
        i32::try_from(mappings).unwrap_or(i32::MAX) + (pins + OTHER_REFERENCES).cast_signed()
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

fn number(counter: Counter, value: u32) -> (Event, Answer) {
    (Event::Read(counter, value.into()), Answer::Number(value))
}
