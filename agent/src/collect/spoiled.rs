//! Memory that can be no huge page because a smaller folio in it is pinned: whole blocks of the size
//! of one. Kept up to date with the ledger, which is far from any order of blocks.
//!
//! Where the ledger samples, it is at least so much. Leaves out what plain references spoil.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use foldhash::fast::RandomState;

use crate::kernel::{
    maps::Slot,
    sys::{huge_page_pages, page_bytes},
};

/// A block of memory in which an owner has a small folio pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    owner: u32,
    block: u32,
}

impl Place {
    /// `None` of a folio that is as large as a huge page.
    pub(crate) fn of(slot: &Slot) -> Option<Self> {
        Self::at(slot.owner(), slot.key(), slot.pages(), page_bytes())
    }

    /// Keys count `struct page`s and have 36 bits. The kernel's array of those begins where a block
    /// does.
    fn at(owner: u32, key: u64, pages: u64, page_bytes: u64) -> Option<Self> {
        let frames = huge_page_pages(page_bytes);
        let block = (key / frames) as u32;
        (pages < frames).then_some(Self { owner, block })
    }
}

/// All such places. Kept so that a change costs what changed, however many there are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spoiled {
    /// In how many parts of the ledger each is.
    parts: HashMap<Place, u32, RandomState>,
    /// Who has a small folio pinned in each block: the number of a set.
    blocks: HashMap<u32, u32, RandomState>,
    sets: Sets,
}

impl Spoiled {
    /// A part of the ledger has these instead of those, each once and in their order.
    pub(crate) fn replace(&mut self, old: &[Place], new: &[Place]) {
        let mut old = old.iter().peekable();
        for place in new {
            while let Some(gone) = old.next_if(|it| *it < place) {
                self.remove(*gone);
            }
            if old.next_if_eq(&place).is_none() {
                self.add(*place);
            }
        }
        for gone in old {
            self.remove(*gone);
        }
    }

    fn add(&mut self, place: Place) {
        let parts = self.parts.entry(place).or_default();
        *parts += 1;
        if *parts == 1 {
            let mut owners = self.owners(place.block);
            owners.insert(owners.partition_point(|it| *it < place.owner), place.owner);
            self.belongs_to(place.block, owners);
        }
    }

    fn remove(&mut self, place: Place) {
        let Some(parts) = self.parts.get_mut(&place) else {
            return;
        };
        *parts -= 1;
        if *parts == 0 {
            self.parts.remove(&place);
            let mut owners = self.owners(place.block);
            owners.retain(|it| *it != place.owner);
            self.belongs_to(place.block, owners);
        }
    }

    fn owners(&self, block: u32) -> Vec<u32> {
        let set = self.blocks.get(&block);
        set.map_or(Vec::new(), |it| self.sets.owners(*it).to_vec())
    }

    fn belongs_to(&mut self, block: u32, owners: Vec<u32>) {
        let before = if owners.is_empty() {
            self.blocks.remove(&block)
        } else {
            self.blocks.insert(block, self.sets.one_more(owners))
        };
        if let Some(before) = before {
            self.sets.one_less(before);
        }
    }

    /// How much it is, of owners that `shows` picks.
    pub(crate) fn bytes(
        &self,
        subsystem: impl Fn(u32) -> &'static str,
        shows: &dyn Fn(u32) -> bool,
    ) -> SpoiledBytes {
        let block_bytes = huge_page_pages(page_bytes()) * page_bytes();
        let mut spoiled = SpoiledBytes::default();
        for set in &self.sets.known {
            let shown = set.owners.iter().filter(|it| shows(**it));
            let subsystems: BTreeSet<_> = shown.map(|it| subsystem(*it)).collect();
            if set.blocks == 0 || subsystems.is_empty() {
                continue;
            }
            spoiled.all += set.blocks * block_bytes;
            for name in subsystems {
                *spoiled.by_subsystem.entry(name).or_default() += set.blocks * block_bytes;
            }
        }
        spoiled
    }
}

/// Owners that have pins in one block: there are many blocks, and few different sets.
#[derive(Clone, Debug, Default)]
struct Sets {
    known: Vec<Set>,
    numbers: HashMap<Vec<u32>, u32, RandomState>,
    unused: Vec<u32>,
}

#[derive(Clone, Debug, Default)]
struct Set {
    /// In their order.
    owners: Vec<u32>,
    blocks: u64,
}

impl Sets {
    fn owners(&self, number: u32) -> &[u32] {
        &self.known[number as usize].owners
    }

    /// One more block is that set's, whose number it gives.
    fn one_more(&mut self, owners: Vec<u32>) -> u32 {
        let number = self.numbers.get(&owners).copied();
        let number = number.unwrap_or_else(|| self.enter(owners));
        self.known[number as usize].blocks += 1;
        number
    }

    fn enter(&mut self, owners: Vec<u32>) -> u32 {
        let number = self.unused.pop().unwrap_or_else(|| {
            self.known.push(Set::default());
            self.known.len() as u32 - 1
        });
        self.known[number as usize].owners.clone_from(&owners);
        self.numbers.insert(owners, number);
        number
    }

    fn one_less(&mut self, number: u32) {
        let set = &mut self.known[number as usize];
        set.blocks -= 1;
        if set.blocks == 0 {
            self.numbers.remove(&set.owners);
            self.unused.push(number);
        }
    }
}

/// How much memory is spoiled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SpoiledBytes {
    /// Each block once.
    pub(crate) all: u64,
    /// Each block once in every subsystem that has a pin in it.
    pub(crate) by_subsystem: BTreeMap<&'static str, u64>,
}

#[cfg(test)]
mod tests {
    use std::mem;

    use super::*;

    /// Two rings of one subsystem, and something else.
    fn subsystem(owner: u32) -> &'static str {
        match owner {
            1 | 2 => "io_uring_buffers",
            _ => "vfio",
        }
    }

    fn place(owner: u32, key: u64) -> Place {
        Place::at(owner, key, 1, 4096).unwrap()
    }

    fn blocks(spoiled: &Spoiled) -> (u64, Vec<(&'static str, u64)>) {
        let it = spoiled.bytes(subsystem, &|_| true);
        let block = huge_page_pages(page_bytes()) * page_bytes();
        let by = it.by_subsystem.into_iter();
        (
            it.all / block,
            by.map(|(name, it)| (name, it / block)).collect(),
        )
    }

    #[test]
    fn a_block_counts_once_in_all_and_once_in_each_subsystem() {
        let mut spoiled = Spoiled::default();
        spoiled.replace(
            &[],
            &[place(1, 0), place(1, 512), place(2, 511), place(3, 7)],
        );
        // The same block from another part of the ledger.
        spoiled.replace(&[], &[place(1, 3)]);
        let wanted = vec![("io_uring_buffers", 2), ("vfio", 1)];
        assert_eq!(blocks(&spoiled), (2, wanted));
    }

    #[test]
    fn after_any_changes_it_is_what_the_parts_have() {
        let mut random = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % below
        };
        let mut spoiled = Spoiled::default();
        let mut parts: [Vec<Place>; 4] = Default::default();
        for _change in 0..500 {
            let places = (0..next(8)).map(|_| place(1 + next(4) as u32, 512 * next(6)));
            let new: BTreeSet<_> = places.collect();
            let part = &mut parts[next(4) as usize];
            let old = mem::replace(part, new.into_iter().collect());
            spoiled.replace(&old, part);
            let mut all = BTreeSet::new();
            let mut by_subsystem: BTreeMap<_, BTreeSet<u32>> = BTreeMap::new();
            for it in parts.iter().flatten() {
                all.insert(it.block);
                let of_it = by_subsystem.entry(subsystem(it.owner)).or_default();
                of_it.insert(it.block);
            }
            let by = by_subsystem
                .iter()
                .map(|(name, it)| (*name, it.len() as u64));
            assert_eq!(blocks(&spoiled), (all.len() as u64, by.collect()));
        }
        for part in &parts {
            spoiled.replace(part, &[]);
        }
        assert_eq!(blocks(&spoiled), (0, vec![]));
        assert!(spoiled.parts.is_empty() && spoiled.blocks.is_empty());
        assert_eq!(spoiled.sets.unused.len(), spoiled.sets.known.len());
    }

    #[test]
    fn a_block_is_spoiled_until_the_last_small_pin_in_it_is_gone() {
        let mut spoiled = Spoiled::default();
        spoiled.replace(&[], &[place(1, 0)]);
        spoiled.replace(&[], &[place(1, 5)]);
        spoiled.replace(&[place(1, 0)], &[]);
        assert_eq!(blocks(&spoiled), (1, vec![("io_uring_buffers", 1)]));
        spoiled.replace(&[place(1, 5)], &[place(3, 5)]);
        assert_eq!(blocks(&spoiled), (1, vec![("vfio", 1)]));
        spoiled.replace(&[place(3, 5)], &[]);
        assert_eq!(blocks(&spoiled), (0, vec![]));
    }

    #[test]
    fn a_block_is_as_large_as_a_huge_page_whatever_a_page_is() {
        for page_bytes in [4 << 10, 16 << 10, 64 << 10] {
            let pages = page_bytes / 8;
            let at = |key, of| Place::at(1, key, of, page_bytes);
            assert_eq!(at(0, pages), None);
            assert_eq!(at(0, pages / 2), at(pages - 1, 1));
            assert_ne!(at(0, 1), at(pages, 1));
        }
    }
}
