//! Breadth-first over every interleaving: how many states, what is found in them, and the shortest way to it.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::OnceLock;

use estimator::Compare;
use estimator::trace::{Event, GupStep, Page, ZapStep};
use stateright::{Checker, HasDiscoveries, Model, Path, Property};

use crate::finding::Finding;
use crate::scenario::{Lock, Scenario};
use crate::world::{Action, World};

/// What one search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Reachable states.
    pub states: usize,
    /// The shortest trace to each finding that exists.
    pub traces: BTreeMap<Finding, Trace>,
}

/// A page and what happened to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The page before the first step.
    pub page: Page,
    /// The events of each step, in order.
    pub steps: Vec<Vec<Event>>,
}

impl Trace {
    /// Its length by the count of a model in which less is a step of its own: each read, each entry walked, the end of each walk with its
    /// comparison, each GUP, and each zap (in two steps where no lock makes them one); the flag costs nothing.
    #[must_use]
    pub fn coarse_steps(&self, lock: Lock) -> usize {
        let counts = |event: &&Event| match event {
            Event::Read(..)
            | Event::Pass(..)
            | Event::EndWalk(_)
            | Event::Zap(_, ZapStep::Clear)
            | Event::Gup(_, GupStep::Complete | GupStep::Return)
            | Event::Put => true,
            Event::Zap(_, ZapStep::Decrement) => lock == Lock::Absent,
            Event::Page(_)
            | Event::Enter
            | Event::ReadFlag(_)
            | Event::TakeFlag(_)
            | Event::PutFlag(_)
            | Event::Says(_)
            | Event::Zap(_, ZapStep::Mark(_) | ZapStep::Drop | ZapStep::Free)
            | Event::Gup(
                _,
                GupStep::FastRead
                | GupStep::FastTake
                | GupStep::FastKeep
                | GupStep::FastBackOff
                | GupStep::SlowTake
                | GupStep::FlagEarly,
            ) => false,
        };
        self.steps.iter().flatten().filter(counts).count()
    }
}

/// What a comparison of a searched machine must be able to do.
pub trait Searchable: Compare + Hash + Eq + Debug + Send + Sync + 'static {}

impl<C: Compare + Hash + Eq + Debug + Send + Sync + 'static> Searchable for C {}

/// Searches `scenario` to the end. One thread, so that the first state found is one of the nearest.
#[must_use]
pub fn search<C: Searchable>(scenario: Scenario, compare: C) -> Found {
    // stateright keeps the last discovery of a property, not the first. So the first pass counts, and notes the first
    // state of each finding; the second asks for the way to exactly these states.
    let first = [const { OnceLock::new() }; Finding::COUNT];
    let noted = Interleavings {
        scenario,
        compare,
        pass: Pass::Note,
        first,
    };
    let noted = noted.run(HasDiscoveries::All);
    let states = noted.unique_state_count();
    let first = noted.model().first.clone();
    let is_noted = |it: &Finding| first[*it as usize].get().is_some();
    let wanted = Finding::ALL
        .into_iter()
        .filter(is_noted)
        .map(Finding::name)
        .collect();
    let traced = Interleavings {
        scenario,
        compare,
        pass: Pass::Trace,
        first,
    };
    let traced = traced.run(HasDiscoveries::AllOf(wanted));
    let mut paths = traced.discoveries();
    let traces = Finding::ALL
        .into_iter()
        .filter_map(|it| Some((it, retell(&scenario, compare, paths.remove(it.name())?)?)))
        .collect();
    Found { states, traces }
}

fn retell<C: Searchable>(
    scenario: &Scenario,
    compare: C,
    path: Path<World<C>, Action>,
) -> Option<Trace> {
    let steps = path.into_vec();
    let page = steps.first()?.0.page(scenario);
    let steps = steps
        .iter()
        .filter_map(|(world, action)| {
            let mut events = Vec::new();
            let _ = world.step(scenario, (*action)?, compare, |event| events.push(event));
            Some(events)
        })
        .collect();
    Some(Trace { page, steps })
}

/// The model that stateright explores.
struct Interleavings<C> {
    scenario: Scenario,
    compare: C,
    pass: Pass,
    first: [OnceLock<World<C>>; Finding::COUNT],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    /// Note the first state of each finding.
    Note,
    /// Find the way to the noted states.
    Trace,
}

impl<C: Searchable> Interleavings<C> {
    /// Explores until every property in `wanted` is discovered, or to the end.
    fn run(self, wanted: HasDiscoveries) -> impl Checker<Self> {
        self.checker()
            .threads(1)
            .finish_when(wanted)
            .spawn_bfs()
            .join()
    }

    fn finds<const I: usize>(&self, world: &World<C>) -> bool {
        match self.pass {
            Pass::Note => {
                let shows = world.shows(Finding::ALL[I]);
                if shows {
                    self.first[I].get_or_init(|| world.clone());
                }
                shows
            }
            Pass::Trace => self.first[I].get() == Some(world),
        }
    }

    fn property<const I: usize>() -> Property<Self> {
        let finding = Finding::ALL[I];
        if finding.is_fault() {
            Property::always(finding.name(), |model, world| !model.finds::<I>(world))
        } else {
            Property::sometimes(finding.name(), |model, world| model.finds::<I>(world))
        }
    }
}

impl<C: Searchable> Model for Interleavings<C> {
    type State = World<C>;
    type Action = Action;

    /// The smallest page last: stateright begins with the last.
    fn init_states(&self) -> Vec<World<C>> {
        let pages = self.scenario.pages();
        pages
            .into_iter()
            .map(|it| World::new(&self.scenario, it, self.compare))
            .collect()
    }

    fn actions(&self, world: &World<C>, actions: &mut Vec<Action>) {
        world.actions(&self.scenario, actions);
    }

    fn next_state(&self, world: &World<C>, action: Action) -> Option<World<C>> {
        Some(world.step(&self.scenario, action, self.compare, |_| {}))
    }

    /// A property is a plain function, so there is one for each index.
    fn properties(&self) -> Vec<Property<Self>> {
        let all: [Property<Self>; Finding::COUNT] = [
            Self::property::<0>(),
            Self::property::<1>(),
            Self::property::<2>(),
            Self::property::<3>(),
            Self::property::<4>(),
            Self::property::<5>(),
            Self::property::<6>(),
            Self::property::<7>(),
            Self::property::<8>(),
            Self::property::<9>(),
            Self::property::<10>(),
            Self::property::<11>(),
            Self::property::<12>(),
            Self::property::<13>(),
            Self::property::<14>(),
            Self::property::<15>(),
            Self::property::<16>(),
            Self::property::<17>(),
            Self::property::<18>(),
        ];
        all.into()
    }
}
