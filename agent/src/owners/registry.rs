//! The probes' records of owners, by name, and their end.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use log::debug;
use probe_abi::{GUP_FUNCTIONS, HOLD_BUCKETS, Owner, OwnerTag, PREEXISTING};
use serde::Serialize;
use verdicts::shown;

use super::{
    names::until_zero,
    processes::ProcessId,
    subsystems,
    symbols::{self, Frame, Symbols},
};
use crate::kernel::maps::OwnerTable;

/// How soon the record of an owner that holds nothing is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pace {
    /// Seconds without a pin until it is announced.
    idle: u32,
    /// Seconds from then to the deed: no probe run lasts so long.
    retiring: u32,
}

impl Pace {
    /// The fuller the table, the sooner: a probe that wants a record looks at a few places only,
    /// and long before the last one is taken it may find none. Three in eight is where that is
    /// still rare.
    const fn of(used: usize, capacity: usize) -> Self {
        let eighths = used * 8 / capacity;
        let (idle, retiring) = match eighths {
            0 => (60, 10),
            1..3 => (5, 10),
            _ => (1, 3),
        };
        Self { idle, retiring }
    }
}

/// `FOLL_WRITE`, include/linux/mm_types.h; the same on every kernel.
const FOLL_WRITE: u32 = 1;

/// The name of preexisting owners of which no process is known.
pub(crate) const UNKNOWN_COMM: [u8; 16] = *b"(unknown)\0\0\0\0\0\0\0";

/// Every owner that has a record.
pub(crate) struct Registry {
    named: HashMap<u32, OwnerInfo>,
    /// Hold times of owners whose records are gone, by subsystem.
    past: BTreeMap<&'static str, HoldTimes>,
    symbols: Symbols,
    symbols_wanted: bool,
    modules: subsystems::Modules,
    /// `FOLL_LONGTERM`, where its value is known.
    longterm_flag: Option<u32>,
    likely: HashMap<ProcessId, Vec<&'static str>>,
    /// Hold times of what has no known owner.
    nobodys: HoldTimes,
}

/// An owner.
#[derive(Clone, Debug)]
pub(crate) struct OwnerInfo {
    pub(crate) record: Owner,
    pub(crate) process: ProcessId,
    /// What its process was called when it first pinned, as text that can be shown.
    pub(crate) comm: String,
    pub(crate) subsystem: &'static str,
    pub(crate) stack: Arc<Stack>,
    /// Seconds without a pin taken or held.
    idle: u32,
    /// Seconds since it was announced that the record goes.
    retiring: Option<u32>,
}

impl OwnerInfo {
    /// Whether it held its pins when the agent started.
    pub(crate) fn is_preexisting(&self) -> bool {
        self.record.function == PREEXISTING
    }
}

/// A call path.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub(crate) struct Stack {
    pub(crate) subsystem: &'static str,
    pub(crate) function: &'static str,
    /// Whether the call said that it would hold on (`FOLL_LONGTERM`); absent
    /// where the flag's value is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) longterm: Option<bool>,
    pub(crate) write: bool,
    /// Callers, innermost first.
    pub(crate) frames: Vec<Frame>,
    /// Of pins from before the agent: what the process has open that can hold pins.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) likely: Vec<&'static str>,
}

impl Stack {
    /// Of pins from before the agent, of which nobody saw the call.
    fn preexisting() -> Self {
        Self {
            subsystem: subsystems::PREEXISTING,
            function: subsystems::PREEXISTING,
            longterm: None,
            write: false,
            frames: Vec::new(),
            likely: Vec::new(),
        }
    }

    /// The callers in one line.
    pub(crate) fn path(&self) -> String {
        let name = |frame: &Frame| match &frame.module {
            Some(module) => format!("{} [{module}]", frame.function),
            None => frame.function.clone(),
        };
        let names: Vec<String> = self.frames.iter().map(name).collect();
        names.join(" < ")
    }
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

impl Registry {
    pub(crate) fn new(longterm_flag: Option<u32>) -> Self {
        Self {
            named: HashMap::new(),
            past: BTreeMap::new(),
            symbols: Symbols::default(),
            symbols_wanted: true,
            modules: subsystems::Modules::default(),
            longterm_flag,
            likely: HashMap::new(),
            nobodys: HoldTimes::default(),
        }
    }

    /// Reads the records anew. Whether owners have come or gone.
    pub(crate) fn refresh(&mut self, table: &OwnerTable) -> bool {
        let mut before = std::mem::take(&mut self.named);
        let mut is_changed = false;
        let records: Vec<(u32, Owner)> = table.in_use().collect();
        self.nobodys = HoldTimes::default();
        self.nobodys.add(&table.nobody());
        for (index, record) in records {
            let known = before.remove(&index);
            let named = match known.filter(|it| same_owner(&it.record, &record)) {
                Some(mut known) => {
                    if known.record.pages_taken != record.pages_taken {
                        known.idle = 0;
                    }
                    known.record = record;
                    known
                }
                None => {
                    is_changed = true;
                    self.name(record)
                }
            };
            self.named.insert(index, named);
        }
        is_changed || !before.is_empty()
    }

    fn name(&mut self, record: Owner) -> OwnerInfo {
        let stack = self.stack(&record);
        OwnerInfo {
            record,
            process: ProcessId::of(&record),
            comm: shown(until_zero(&record.comm)),
            subsystem: stack.subsystem,
            stack: Arc::new(stack),
            idle: 0,
            retiring: None,
        }
    }

    /// What the process of a preexisting owner has open that can hold pins; to be said before its
    /// record is made.
    pub(crate) fn learn_likely(&mut self, process: ProcessId, likely: Vec<&'static str>) {
        self.likely.insert(process, likely);
    }

    /// The call path of an owner, from the function that it called outwards.
    fn stack(&mut self, record: &Owner) -> Stack {
        if record.function == PREEXISTING {
            let process = ProcessId::of(record);
            return Stack {
                likely: self.likely.get(&process).cloned().unwrap_or_default(),
                ..Stack::preexisting()
            };
        }
        let count = (record.frame_count as usize).min(record.frames.len());
        let addresses = &record.frames[..count];
        let is_covered = self.symbols.cover(addresses);
        let frames: Vec<Option<Frame>> = addresses
            .iter()
            .map(|address| self.symbols.frame(*address).filter(|_| is_covered))
            .collect();
        let function = GUP_FUNCTIONS.get(record.function as usize);
        let function = function.copied().unwrap_or_default();
        let begin = symbols::outside_of(function, &frames);
        self.symbols_wanted |= frames[begin..].iter().any(Option::is_none);
        let frames: Vec<Frame> = frames[begin..].iter().flatten().cloned().collect();
        Stack {
            subsystem: self.modules.of(&frames),
            function,
            longterm: self.longterm_flag.map(|flag| record.flags & flag != 0),
            write: record.flags & FOLL_WRITE != 0,
            frames,
            likely: Vec::new(),
        }
    }

    /// Whether there are addresses that the list of functions does not have: there is none yet, or
    /// a module was loaded. Who asks reads it now: what is named from then on may want another.
    pub(crate) fn take_wish_for_symbols(&mut self) -> bool {
        std::mem::take(&mut self.symbols_wanted)
    }

    /// Every address of a call path, each once.
    pub(crate) fn addresses(&self) -> Vec<u64> {
        let records = self.named.values().map(|it| &it.record);
        let frames = records.flat_map(|it| it.frames.iter().take(it.frame_count as usize));
        let addresses: HashSet<u64> = frames.copied().collect();
        addresses.into_iter().collect()
    }

    /// The list could not be read.
    pub(crate) fn want_symbols(&mut self) {
        self.symbols_wanted = true;
    }

    /// A new list of functions: names what had none.
    pub(crate) fn learn_symbols(&mut self, symbols: Symbols) {
        self.symbols = symbols;
        // What is still unknown below will not become known by asking again; what was named while
        // the list was read may.
        let wanted = self.symbols_wanted;
        let records: Vec<(u32, Owner)> = self
            .named
            .iter()
            .map(|(index, named)| (*index, named.record))
            .collect();
        for (index, record) in records {
            let stack = self.stack(&record);
            if let Some(named) = self.named.get_mut(&index) {
                named.subsystem = stack.subsystem;
                named.stack = Arc::new(stack);
            }
        }
        self.symbols_wanted = wanted;
    }

    /// Takes away records that nobody needs: a second has passed, and these are named by slots.
    pub(crate) fn retire(&mut self, table: &OwnerTable, in_use: &HashSet<u32>) {
        let pace = Pace::of(self.named.len(), table.capacity());
        let mut gone = Vec::new();
        for (index, named) in &mut self.named {
            let needed = in_use.contains(index);
            if OwnerTag(named.record.tag).state() == OwnerTag::LIVE {
                named.retiring = None;
                named.idle = if needed { 0 } else { named.idle + 1 };
                if named.idle >= pace.idle && table.retire(*index) {
                    named.retiring = Some(0);
                }
                continue;
            }
            let seconds = named.retiring.map_or(0, |it| it + 1);
            named.retiring = Some(seconds);
            if seconds < pace.retiring || needed {
                continue;
            }
            if let Some(record) = table.free(*index) {
                debug!("owner {index} ({}) is forgotten", named.comm);
                self.past.entry(named.subsystem).or_default().add(&record);
                gone.push(*index);
            }
        }
        for index in gone {
            self.named.remove(&index);
        }
    }

    /// An owner by its index in the table.
    pub(crate) fn owner(&self, index: u32) -> Option<&OwnerInfo> {
        self.named.get(&index)
    }

    /// Owners there are.
    pub(crate) fn count(&self) -> usize {
        self.named.len()
    }

    /// Hold times by subsystem, ever since the start.
    pub(crate) fn hold_times(&self) -> BTreeMap<&'static str, HoldTimes> {
        let mut times = self.past.clone();
        for named in self.named.values() {
            times.entry(named.subsystem).or_default().add(&named.record);
        }
        let unknown = times.entry(subsystems::UNKNOWN).or_default();
        for (sum, count) in unknown.counts.iter_mut().zip(self.nobodys.counts) {
            *sum += count;
        }
        unknown.sum_ns += self.nobodys.sum_ns;
        times
    }
}

fn same_owner(one: &Owner, other: &Owner) -> bool {
    OwnerTag(one.tag).same_identity(OwnerTag(other.tag)) && one.since_ns == other.since_ns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_go_sooner_the_fuller_the_table_is() {
        let pace = |used| Pace::of(used, 4096);
        assert_eq!(pace(0), pace(511));
        let paces = [511, 512, 1536].map(pace);
        assert!(paces.is_sorted_by(|a, b| a.idle > b.idle && a.retiring >= b.retiring));
        assert_eq!(pace(1536), pace(4096));
    }

    /// 280 owners a second, as of 70 short processes that each pin in four ways: with a table of
    /// the usual size, a search of sixteen places still finds one.
    #[test]
    fn short_processes_leave_room_for_the_next_ones() {
        const CAPACITY: usize = 4096;
        const SECOND: usize = 280;
        let mut ages = Vec::new();
        let mut most = 0;
        for _ in 0..600 {
            let pace = Pace::of(ages.len(), CAPACITY);
            ages.iter_mut().for_each(|age| *age += 1);
            ages.retain(|age| *age <= pace.idle + pace.retiring);
            ages.extend([0; SECOND]);
            most = most.max(ages.len());
        }
        assert!(most * 2 < CAPACITY, "{most} records in use");
    }
}
