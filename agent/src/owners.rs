//! Who holds what: the ledger's pins with their owners by name, what is suspected
//! of each, and how much the ledger keeps.
//!
//! Brought up to date once a second; every view of owners is made from it.

mod by;
pub(crate) mod cgroups;
pub(crate) mod file;
pub(crate) mod process;
pub(crate) mod sampling;
pub(crate) mod subsystems;
pub(crate) mod suspects;
pub(crate) mod symbols;
mod text;

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use log::{debug, info};
use probe_abi::{CpuCounters, GUP_FUNCTIONS, HOLD_BUCKETS, Owner};

use crate::kernel::{
    maps::{Counters, LedgerSnapshot, LedgerView, OwnerTable, Settings, untracked},
    sys::now,
};
pub(crate) use by::By;
use cgroups::Cgroups;
use file::Files;
use sampling::Sampling;
use suspects::{Present, Suspects};
use symbols::{Frame, Symbols};

/// Seconds for which an owner took nothing and holds nothing before its record
/// is taken away; when records run short, the second figure counts.
const IDLE_SECONDS: [u32; 2] = [60, 5];

/// Seconds between the announcement and the deed: no probe run lasts so long.
const RETIRING_SECONDS: u32 = 10;

/// Who holds what, now.
pub(crate) struct OwnerRegistry {
    /// The ledger when it was last read.
    pub(crate) ledger: LedgerSnapshot,
    pub(crate) sampling: Sampling,
    pub(crate) suspects: Suspects,
    pub(crate) cgroups: Cgroups,
    pub(crate) files: Files,
    /// `FOLL_LONGTERM`, where its value is known.
    pub(crate) longterm_flag: Option<u32>,
    named: HashMap<u32, OwnerInfo>,
    /// Hold times of owners whose records are gone, and of nobody's, by subsystem.
    past: BTreeMap<&'static str, HoldTimes>,
    symbols: Symbols,
    symbols_wanted: bool,
    table: OwnerTable,
    settings: Settings,
}

/// An owner by name.
#[derive(Clone, Debug)]
pub(crate) struct OwnerInfo {
    pub(crate) record: Owner,
    /// Name of its process.
    pub(crate) comm: String,
    pub(crate) lives: bool,
    pub(crate) subsystem: &'static str,
    /// Call path from the function that was called outwards.
    pub(crate) path: Vec<Frame>,
    /// Seconds without a pin taken or held.
    idle: u32,
    /// Seconds since it was announced that the record goes.
    retiring: Option<u32>,
}

/// Hold times, in the probes' buckets.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HoldTimes {
    pub(crate) counts: [u64; HOLD_BUCKETS],
    pub(crate) sum_ns: u64,
}

impl HoldTimes {
    fn add(&mut self, record: &Owner) {
        for (sum, count) in self.counts.iter_mut().zip(record.holds) {
            *sum += count;
        }
        self.sum_ns += record.held_ns;
    }
}

impl OwnerRegistry {
    pub(crate) fn new(
        table: OwnerTable,
        settings: Settings,
        files: Files,
        longterm_flag: Option<u32>,
        old_after: Duration,
    ) -> Self {
        Self {
            ledger: LedgerSnapshot::default(),
            sampling: Sampling::default(),
            suspects: Suspects::new(old_after),
            cgroups: Cgroups::default(),
            files,
            longterm_flag,
            named: HashMap::new(),
            past: BTreeMap::new(),
            symbols: Symbols::default(),
            symbols_wanted: true,
            table,
            settings,
        }
    }

    /// One second has passed.
    pub(crate) fn tick(&mut self, counters: &Counters, ledger: &LedgerView) {
        self.refresh(counters, ledger);
        self.adjust_level(ledger);
        self.retire();
    }

    /// Reads ledger and owners anew.
    pub(crate) fn refresh(&mut self, counters: &Counters, ledger: &LedgerView) {
        let totals = counters.totals();
        let level = self.settings.level();
        self.sampling.observe(level, &untracked(&totals));
        // Owners after the ledger: a slot's owner was there before its slot.
        self.ledger = ledger.snapshot(level);
        self.name_owners();
        let now = now();
        let mut present: HashMap<u32, Present> = HashMap::new();
        for entry in &self.ledger.pins {
            let age = now.saturating_sub(Duration::from_nanos(entry.since_ns));
            let lives = self.named.get(&entry.owner).is_none_or(|it| it.lives);
            let owner = present.entry(entry.owner).or_insert(Present {
                pages: 0,
                oldest: age,
                lives,
            });
            owner.pages += u64::from(entry.pins);
            owner.oldest = owner.oldest.max(age);
        }
        self.suspects.observe(now, &present);
    }

    fn name_owners(&mut self) {
        let records: HashMap<u32, Owner> = self.table.in_use().collect();
        self.named.retain(|index, _| records.contains_key(index));
        self.cgroups.learn(records.values().map(|it| it.cgroup));
        for (index, record) in records {
            let known = self.named.remove(&index);
            let known = known.filter(|it| same_owner(&it.record, &record));
            let named = match known {
                Some(mut known) => {
                    if known.record.pages_taken != record.pages_taken {
                        known.idle = 0;
                    }
                    known.record = record;
                    known
                }
                None => {
                    let path = self.path(&record);
                    OwnerInfo {
                        record,
                        comm: text::until_zero(&record.comm),
                        lives: true,
                        subsystem: subsystems::of(&path),
                        path,
                        idle: 0,
                        retiring: None,
                    }
                }
            };
            self.named.insert(index, named);
        }
        let ledger = &self.ledger;
        for (index, named) in &mut self.named {
            // Only who holds something is asked after.
            if named.lives && ledger.owners.contains(index) {
                named.lives = process::lives(named.record.tgid, named.record.start_ns);
            }
        }
    }

    /// The call path of an owner, from the function that it called outwards.
    fn path(&mut self, record: &Owner) -> Vec<Frame> {
        let count = (record.frame_count as usize).min(record.frames.len());
        let frames: Vec<Option<Frame>> = record.frames[..count]
            .iter()
            .map(|address| self.symbols.frame(*address))
            .collect();
        let called = GUP_FUNCTIONS
            .get(record.function as usize)
            .copied()
            .unwrap_or_default();
        let begin = symbols::outside_of(called, &frames);
        let unknown = frames[begin..].iter().any(Option::is_none);
        self.symbols_wanted |= unknown;
        frames[begin..].iter().flatten().cloned().collect()
    }

    /// Whether there are addresses that the list of functions does not have:
    /// there is none yet, or a module was loaded.
    pub(crate) fn wants_symbols(&mut self) -> bool {
        std::mem::take(&mut self.symbols_wanted)
    }

    /// A new list of functions: names what had none.
    pub(crate) fn learn_symbols(&mut self, symbols: Symbols) {
        if symbols.is_empty() {
            info!("the kernel hides the addresses of its functions: call paths have no names");
        }
        self.symbols = symbols;
        let records: Vec<(u32, Owner)> = self
            .named
            .iter()
            .map(|(index, named)| (*index, named.record))
            .collect();
        for (index, record) in records {
            let path = self.path(&record);
            if let Some(named) = self.named.get_mut(&index) {
                named.subsystem = subsystems::of(&path);
                named.path = path;
            }
        }
        // What is still unknown now will not become known by asking again.
        self.symbols_wanted = false;
    }

    fn adjust_level(&mut self, ledger: &LedgerView) {
        let level = self.settings.level();
        let held = self.ledger.pins.len() as u64;
        let Some(from) = self.sampling.lower(held, ledger.capacity()) else {
            return;
        };
        // What the ledger holds of it is not all: later pins were passed over.
        let swept = ledger.sweep(from);
        self.sampling.swept(from, swept);
        if self.settings.lower(level) {
            info!(
                "the ledger has room: it keeps one folio in {}",
                1u64 << from
            );
        }
    }

    /// Takes away records that nobody needs.
    fn retire(&mut self) {
        let short = self.named.len() * 4 > self.table.capacity() * 3;
        let patience = IDLE_SECONDS[usize::from(short)];
        let indexes: Vec<u32> = self.named.keys().copied().collect();
        for index in indexes {
            let Some(named) = self.named.get_mut(&index) else {
                continue;
            };
            let tag = probe_abi::OwnerTag(named.record.tag);
            let needed = self.ledger.owners.contains(&index);
            if tag.state() == probe_abi::OwnerTag::LIVE {
                named.retiring = None;
                named.idle = if needed { 0 } else { named.idle + 1 };
                if named.idle >= patience && self.table.retire(index) {
                    named.retiring = Some(0);
                }
                continue;
            }
            let seconds = named.retiring.map_or(0, |it| it + 1);
            named.retiring = Some(seconds);
            if seconds < RETIRING_SECONDS || needed {
                continue;
            }
            let subsystem = named.subsystem;
            if let Some(record) = self.table.free(index) {
                debug!("owner {index} ({}) is forgotten", named.comm);
                self.past.entry(subsystem).or_default().add(&record);
                self.named.remove(&index);
            }
        }
        let named = &self.named;
        self.cgroups
            .keep(|id| named.values().any(|it| it.record.cgroup == id));
    }

    /// An owner by its index in the table.
    pub(crate) fn owner(&self, index: u32) -> Option<&OwnerInfo> {
        self.named.get(&index)
    }

    /// Owners there are.
    pub(crate) fn owner_count(&self) -> usize {
        self.named.len()
    }

    /// Owners there can be.
    pub(crate) fn owner_capacity(&self) -> usize {
        self.table.capacity()
    }

    /// Hold times by subsystem, ever since the start.
    pub(crate) fn hold_times(&self) -> BTreeMap<&'static str, HoldTimes> {
        let mut times = self.past.clone();
        for named in self.named.values() {
            times.entry(named.subsystem).or_default().add(&named.record);
        }
        times
            .entry(subsystems::UNKNOWN)
            .or_default()
            .add(&self.table.nobody());
        times
    }

    /// Pages that are pinned as far as the probes saw it: in the ledger, and
    /// kept out of it by sampling.
    pub(crate) fn pinned_pages(&self, totals: &CpuCounters) -> u64 {
        let held: u64 = self.ledger.pins.iter().map(|it| u64::from(it.pins)).sum();
        held + self.untracked_pages(totals)
    }

    /// Pages that are pinned and that sampling keeps out of the ledger.
    pub(crate) fn untracked_pages(&self, totals: &CpuCounters) -> u64 {
        let mut outside = untracked(totals);
        for (outside, stale) in outside.iter_mut().zip(self.ledger.stale) {
            *outside += stale as i64;
        }
        self.sampling.untracked_pages(&outside)
    }
}

fn same_owner(one: &Owner, other: &Owner) -> bool {
    probe_abi::OwnerTag(one.tag).same_identity(probe_abi::OwnerTag(other.tag))
        && one.since_ns == other.since_ns
}
