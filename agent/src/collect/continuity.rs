//! Pins from before the agent: a census at its start finds them, and they are entered in the
//! ledger, with owners of their own. From then on their release is one like any other.
//!
//! The hooks are attached before the census begins, so that nothing falls between. What it found
//! is looked at three times more, a second apart each: what the kernel has pinned of a folio all
//! the while and the ledger has not was pinned before. A folio that is pinned and released
//! meanwhile takes more looks, and the least of them counts.

mod candidate;
mod owners;

use std::{
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use candidate::Candidate;
use log::{info, warn};
use owners::{Owners, Records};
use probe_abi::{Amendment, FOLIOS_AT_ONCE, Word, stratum};

use super::{audit, auditor::Ledger};
use crate::{
    census::{self, Preexisting},
    error::{AgentError, chain},
    kernel::{
        census::Walker,
        judgement::FlagBits,
        maps::{OwnerTable, Slot},
        sys,
    },
    owners::registry::Registry,
};

/// Rounds through all that is left. What moves at each look is known as a sum only.
const ROUNDS: u32 = 30;

/// Seconds between rounds while a call is asleep that may have pinned what is left.
const WAIT: u32 = 10;

/// What it may take of a second.
const OF_A_SECOND: Duration = Duration::from_millis(100);

/// How far it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The census was not wanted.
    #[default]
    Off,
    Walking,
    Entering,
    Done,
    /// It cannot be taken here.
    Failed(Arc<str>),
}

impl Progress {
    /// Each that there is, by the name of its state.
    pub(crate) const NAMES: [&str; 5] = ["off", "walking", "entering", "done", "failed"];

    /// Its own.
    pub(crate) const fn name(&self) -> &'static str {
        Self::NAMES[match self {
            Self::Off => 0,
            Self::Walking => 1,
            Self::Entering => 2,
            Self::Done => 3,
            Self::Failed(_) => 4,
        }]
    }
}

/// What came of it so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) progress: Progress,
    /// Pins entered, and the folios that have them.
    pub(crate) pins: u64,
    pub(crate) folios: u64,
}

/// Whom it asks, and whom it tells.
pub(crate) struct World<'a> {
    pub(crate) ledger: Ledger<'a>,
    pub(crate) owners: &'a OwnerTable,
    pub(crate) registry: &'a mut Registry,
    pub(crate) bits: FlagBits,
    /// The ledger has nothing of the strata below: what is pinned there may be known as a sum.
    pub(crate) from: usize,
    /// When the oldest call began that may be asleep, nanoseconds since boot.
    pub(crate) asleep_since: Option<u64>,
}

/// Enters what a census finds.
#[derive(Default)]
pub(crate) struct Continuity {
    census: Option<mpsc::Receiver<Result<Preexisting, AgentError>>>,
    found: Found,
    candidates: Vec<Candidate>,
    next: usize,
    rounds: u32,
    /// Seconds to the next round.
    wait: u32,
    memcgs: Vec<u64>,
    owners: Owners,
}

impl Continuity {
    /// Begins the census, if one is wanted, in a thread of its own: what walks, and how many percent
    /// of a CPU that may take.
    pub(crate) fn begin(census: Option<(Result<Walker, AgentError>, u32)>) -> Self {
        let mut this = Self::default();
        let Some((walker, share)) = census else {
            return this;
        };
        let begun = walker.and_then(|walker| {
            let (give, census) = mpsc::channel();
            let work = move || {
                // Nobody waits for it any more if the agent is ending.
                let _ = give.send(census::preexisting(&walker, share));
            };
            let thread = thread::Builder::new().name("census".to_owned());
            let started = thread.spawn(work).map_err(|source| AgentError::System {
                what: "cannot start the thread of the census",
                source,
            });
            started.map(|_| census)
        });
        match begun {
            Ok(census) => {
                this.census = Some(census);
                this.found.progress = Progress::Walking;
            }
            Err(error) => this.fail(&error),
        }
        this
    }

    /// Whether it may still enter pins.
    pub(crate) fn is_under_way(&self) -> bool {
        matches!(self.found.progress, Progress::Walking | Progress::Entering)
    }

    /// What came of it so far.
    pub(crate) fn found(&self) -> &Found {
        &self.found
    }

    fn fail(&mut self, error: &AgentError) {
        let why = chain(error);
        warn!("whose the pins are from before the agent is not known: {why}");
        self.found.progress = Progress::Failed(why.into());
    }

    /// A second has passed.
    pub(crate) fn tick(&mut self, mut world: World<'_>) {
        self.receive();
        if self.found.progress != Progress::Entering {
            return;
        }
        if self.wait > 0 {
            self.wait -= 1;
            return;
        }
        let start = Instant::now();
        while self.next < self.candidates.len() && start.elapsed() < OF_A_SECOND {
            let end = (self.next + FOLIOS_AT_ONCE).min(self.candidates.len());
            self.look(self.next, end, &mut world);
            self.next = end;
        }
        if self.next == self.candidates.len() {
            self.next = 0;
            self.rounds += 1;
            self.candidates.retain(|it| !it.is_decided);
            let waits = |it: &Candidate| it.is_ripe() && it.may_be_of(world.asleep_since);
            if self.candidates.is_empty() {
                self.end();
            } else if self.candidates.iter().any(waits) {
                self.wait = WAIT;
            } else if self.rounds >= ROUNDS {
                self.end();
            }
        }
    }

    fn receive(&mut self) {
        let Some(census) = &self.census else {
            return;
        };
        let preexisting = match census.try_recv() {
            Ok(Ok(it)) => it,
            Ok(Err(error)) => {
                self.census = None;
                return self.fail(&error);
            }
            Err(mpsc::TryRecvError::Empty) => return,
            Err(mpsc::TryRecvError::Disconnected) => {
                self.census = None;
                return self.fail(&AgentError::Unfit {
                    why: Some("the census ended by itself".to_owned()),
                });
            }
        };
        self.census = None;
        for note in &preexisting.notes {
            info!("the census at the start: {note}");
        }
        if preexisting.left_out > 0 {
            info!(
                "the census at the start: {} folios stay nobody's: too many are pinned, or nothing \
                 tells their pins",
                preexisting.left_out
            );
        }
        let folios = preexisting.folios.into_iter();
        self.candidates = folios.map(Candidate::new).collect();
        self.memcgs = preexisting.memcgs;
        self.owners = Owners::new(preexisting.mappers, preexisting.likely);
        self.found.progress = Progress::Entering;
    }

    /// All that was for this only is given up.
    fn end(&mut self) {
        let Found { pins, folios, .. } = self.found;
        let left = self.candidates.len();
        info!(
            "the census at the start: {pins} pins on {folios} folios are from before the agent, and \
             in the ledger now; {left} folios changed all the while"
        );
        *self = Self {
            found: Found {
                progress: Progress::Done,
                pins,
                folios,
            },
            ..Self::default()
        };
    }

    /// Looks at some of the candidates, and enters what is ripe.
    fn look(&mut self, first: usize, end: usize, world: &mut World<'_>) {
        let now_ns = sys::since_boot().as_nanos() as u64;
        let Ledger { view, inspector } = world.ledger;
        let keys: Vec<u64> = self.candidates[first..end]
            .iter()
            .map(|it| it.folio.key)
            .collect();
        let slots = |key: &u64| -> Vec<Slot> { view.slots_of(*key).collect() };
        let before: Vec<Vec<Slot>> = keys.iter().map(slots).collect();
        let Some(folios) = inspector.folios(&keys) else {
            return;
        };
        let mut ripe = Vec::new();
        for (place, (folio, before)) in folios.iter().zip(&before).enumerate() {
            let after = slots(&folio.key);
            let lack = audit::lack(folio, before, &after, world.bits);
            let candidate = &mut self.candidates[first + place];
            if (stratum(folio.key) as usize) < world.from {
                candidate.is_decided = true;
                continue;
            }
            candidate.see(lack, now_ns);
            if candidate.is_ripe() && !candidate.may_be_of(world.asleep_since) {
                candidate.is_decided = true;
                ripe.push((*candidate, *folio));
            }
        }
        let mut records = Records {
            inspector,
            table: world.owners,
            registry: world.registry,
            now_ns,
        };
        let mut amendments: Vec<Amendment> = ripe
            .iter()
            .map(|(candidate, folio)| Amendment {
                kind: Amendment::ENTER,
                word: folio.key << Word::KEY_SHIFT,
                n: candidate.pins,
                mapping: folio.mapping,
                memcg: self
                    .memcgs
                    .get(candidate.folio.memcg as usize)
                    .copied()
                    .unwrap_or(0),
                order: folio.pages.max(1).ilog2(),
                owner: self.owners.of(candidate.folio.mappers, &mut records),
                ..Amendment::default()
            })
            .collect();
        inspector.amend(&mut amendments);
        for amendment in &amendments {
            self.found.pins += amendment.done;
            self.found.folios += u64::from(amendment.done > 0);
        }
    }
}
