//! All names in one place: of owners, their processes and cgroups, of files and memory cgroups.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use super::{
    cgroups::Cgroups,
    files::{Files, Memory},
    memcgs::Memcgs,
    names::CgroupName,
    processes::{Life, Place, ProcessId, ProcessInfo, Processes},
    registry::{OwnerInfo, Registry},
    users::Users,
};
use crate::kernel::{inspect::Inspector, maps::OwnerTable};

/// What has to have a name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    /// Owners by index.
    pub(crate) owners: HashSet<u32>,
    /// Mappings, each with the key of a folio that should have it.
    pub(crate) mappings: HashMap<u64, u64>,
    /// What folios have for the memory cgroup that they are charged to.
    pub(crate) memcgs: HashSet<u64>,
    /// Processes that have a call under way.
    pub(crate) callers: HashSet<ProcessId>,
}

/// The cgroup that an owner pinned in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnersCgroup<'a> {
    pub(crate) hierarchy: Option<u32>,
    pub(crate) id: u64,
    /// `None` where it is not known.
    pub(crate) path: Option<&'a str>,
}

/// The names.
pub(crate) struct Directory {
    pub(crate) registry: Registry,
    processes: Processes,
    cgroups: Cgroups,
    files: Files,
    memcgs: Memcgs,
    pub(crate) users: Users,
}

impl Directory {
    pub(crate) fn new(registry: Registry) -> Self {
        Self {
            registry,
            processes: Processes::default(),
            cgroups: Cgroups::default(),
            files: Files::default(),
            memcgs: Memcgs::default(),
            users: Users::default(),
        }
    }

    /// Asks for names, as far as there is time for, and forgets those that are not wanted.
    /// Whether any name is another one now.
    pub(crate) fn refresh(
        &mut self,
        wanted: &Wanted,
        table: &OwnerTable,
        inspector: &Inspector,
        now: Duration,
    ) -> bool {
        let mut is_changed = self.registry.refresh(table);
        let mut processes: HashMap<ProcessId, String> = HashMap::new();
        let mut cgroups = HashSet::new();
        let mut users = HashMap::new();
        for owner in &wanted.owners {
            // Without an id it is of preexisting pins that no process maps.
            let named = self.registry.owner(*owner);
            if let Some(named) = named.filter(|it| it.process.tgid != 0) {
                processes.insert(named.process, named.comm.clone());
                cgroups.insert(named.record.cgroup);
                users.insert(named.process, named.record.uid);
            }
        }
        for caller in &wanted.callers {
            processes.entry(*caller).or_default();
        }
        is_changed |= self.processes.refresh(&processes, inspector);
        for process in processes.keys() {
            if let Some(Place { cgroup, .. }) =
                self.process(*process).and_then(|it| it.cgroup.clone())
            {
                let is_wanted = cgroup.is_unified() && cgroups.contains(&cgroup.id);
                is_changed |= is_wanted && self.cgroups.learn(&cgroup);
            }
        }
        let accounts = |process| self.processes.get(process).and_then(|it| it.accounts);
        let users = users
            .into_iter()
            .map(|(process, uid)| (uid, accounts(process)));
        is_changed |= self.users.refresh(users, now);
        is_changed |= self.cgroups.look_for(&cgroups, now);
        is_changed |= self.files.refresh(&wanted.mappings, inspector, now);
        is_changed
            | self
                .memcgs
                .refresh(wanted.memcgs.iter().copied(), inspector)
    }

    /// An owner by its index.
    pub(crate) fn owner(&self, index: u32) -> Option<&OwnerInfo> {
        self.registry.owner(index)
    }

    /// What is known of a process.
    pub(crate) fn process(&self, id: ProcessId) -> Option<&ProcessInfo> {
        self.processes.get(id)
    }

    /// Whether the process of an owner is there.
    pub(crate) fn life(&self, owner: u32) -> Life {
        let process = self.owner(owner).and_then(|it| self.process(it.process));
        process.map_or(Life::Unknown, |it| it.life)
    }

    /// The cgroup that an owner pinned in: of the unified hierarchy, by its id; where that was the
    /// root, and another hierarchy has its process elsewhere, of that one.
    pub(crate) fn cgroup(&self, owner: &OwnerInfo) -> OwnersCgroup<'_> {
        let id = owner.record.cgroup;
        let place = self
            .process(owner.process)
            .and_then(|it| it.cgroup.as_ref());
        match place {
            Some(it) if it.unified == id && !it.cgroup.is_unified() => OwnersCgroup {
                hierarchy: it.cgroup.hierarchy,
                id: it.cgroup.id,
                path: Some(&it.cgroup.path),
            },
            _ => OwnersCgroup {
                hierarchy: Some(0),
                id,
                path: self.cgroups.path(id),
            },
        }
    }

    /// The memory cgroup of a folio that has this word for it.
    pub(crate) fn memcg(&self, word: u64) -> Option<&CgroupName> {
        self.memcgs.of(word)
    }

    /// What a folio with this mapping belongs to.
    pub(crate) fn memory(&self, mapping: u64) -> Memory {
        self.files.of(mapping)
    }
}
