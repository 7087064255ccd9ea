//! Owners of preexisting pins: of what was seen is who maps the memory, and not who pinned it.

use std::collections::{BTreeSet, HashMap};

use bytemuck::Zeroable as _;
use probe_abi::{NOBODY, Owner, PREEXISTING, Process, mix};

use crate::{
    kernel::{inspect::Inspector, maps::OwnerTable},
    owners::{
        processes::{self, ProcessId},
        registry::{self, Registry},
    },
};

/// Whom it asks, and where owners are told.
pub(super) struct Records<'a> {
    pub(super) inspector: &'a Inspector,
    pub(super) table: &'a OwnerTable,
    pub(super) registry: &'a mut Registry,
    pub(super) now_ns: u64,
}

/// Makes them, one for each process.
#[derive(Default)]
pub(super) struct Owners {
    /// Sets of processes that map the same folios, by number.
    mappers: Vec<Vec<u32>>,
    /// What each has open that can hold pins.
    likely: HashMap<u32, BTreeSet<&'static str>>,
    of_set: HashMap<u32, u32>,
    of_process: HashMap<ProcessId, u32>,
}

impl Owners {
    pub(super) fn new(
        mappers: Vec<Vec<u32>>,
        likely: HashMap<u32, BTreeSet<&'static str>>,
    ) -> Self {
        Self {
            mappers,
            likely,
            ..Self::default()
        }
    }

    /// The owner of what a set of processes maps: of these the one that has something open that can
    /// hold pins, or else the oldest.
    pub(super) fn of(&mut self, set: u32, records: &mut Records<'_>) -> u32 {
        if let Some(known) = self.of_set.get(&set) {
            return *known;
        }
        let pids = self
            .mappers
            .get(set as usize)
            .map_or(&[][..], Vec::as_slice);
        // Another namespace's ids say nothing to the kernel side.
        let pids = if processes::has_initial_ids() {
            pids
        } else {
            &[]
        };
        // Whichever process has the id now: one that maps it.
        let ids: Vec<(u32, u64)> = pids.iter().map(|pid| (*pid, 0)).collect();
        let processes = records.inspector.processes(&ids).unwrap_or_default();
        let is_there = |it: &&Process| [Process::LIVES, Process::EXITING].contains(&it.state);
        let likely = |it: &Process| self.likely.get(&it.tgid).filter(|it| !it.is_empty());
        let process = processes
            .iter()
            .filter(is_there)
            .min_by_key(|it| (likely(it).is_none(), it.start_ns, it.tgid));
        let id = ProcessId {
            tgid: process.map_or(0, |it| it.tgid),
            start_ns: process.map_or(0, |it| it.start_ns),
        };
        if let Some(likely) = process.and_then(likely) {
            let likely = likely.iter().copied().collect();
            records.registry.learn_likely(id, likely);
        }
        let made = self.of_process.get(&id).copied().or_else(|| {
            let record = record(process, records.inspector, records.now_ns);
            records.table.enter(hash(id), &record)
        });
        let owner = made.unwrap_or(NOBODY);
        self.of_process.insert(id, owner);
        self.of_set.insert(set, owner);
        owner
    }
}

/// What tells a preexisting owner from all others.
fn hash(id: ProcessId) -> u64 {
    let words = [u64::from(PREEXISTING), u64::from(id.tgid), id.start_ns];
    words.into_iter().fold(0, mix)
}

/// No kernel object's address, in the place of one that is not known: what is pinned for so long belongs
/// to one most often, and whoever completes a bio does not release it.
const SOME_OBJECT: u64 = 1;

/// The record of a process that maps preexisting pins; without one, of whoever holds them.
fn record(process: Option<&Process>, inspector: &Inspector, now_ns: u64) -> Owner {
    let nobody = Owner {
        function: PREEXISTING,
        object: SOME_OBJECT,
        since_ns: now_ns,
        comm: registry::UNKNOWN_COMM,
        ..Owner::zeroed()
    };
    let Some(process) = process else {
        return nobody;
    };
    let cgroup = inspector.cgroup_of(process.tgid, process.start_ns);
    Owner {
        tgid: process.tgid,
        start_ns: process.start_ns,
        uid: process.uid,
        mm: process.mm,
        object_mm: process.mm,
        comm: process.comm,
        cgroup: cgroup.map_or(0, |it| it.unified),
        ..nobody
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_and_nobody_are_told_apart() {
        let id = |tgid, start_ns| ProcessId { tgid, start_ns };
        let hashes: BTreeSet<u64> = [id(0, 0), id(1, 0), id(1, 1), id(2, 1)]
            .into_iter()
            .map(hash)
            .collect();
        assert_eq!(hashes.len(), 4);
    }
}
