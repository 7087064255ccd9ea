//! Memory that can be no huge page because a smaller folio in it is pinned: whole blocks of the size
//! of one. Kept up to date with the ledger, which is far from any order of blocks.
//!
//! Where the ledger samples, it is at least so much. Leaves out what plain references spoil.

use std::collections::{BTreeMap, HashMap, HashSet};

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

/// All such places, and in how many parts of the ledger each is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spoiled(HashMap<Place, u32, RandomState>);

impl Spoiled {
    /// A part of the ledger has these instead of those, each once.
    pub(crate) fn replace(&mut self, old: &[Place], new: &[Place]) {
        for place in new {
            *self.0.entry(*place).or_default() += 1;
        }
        for place in old {
            if let Some(parts) = self.0.get_mut(place) {
                *parts -= 1;
                if *parts == 0 {
                    self.0.remove(place);
                }
            }
        }
    }

    /// How much it is, of owners that `shows` picks.
    pub(crate) fn bytes(
        &self,
        subsystem: impl Fn(u32) -> &'static str,
        shows: &dyn Fn(u32) -> bool,
    ) -> SpoiledBytes {
        let mut blocks: HashSet<u32, RandomState> = HashSet::default();
        let mut of_subsystem: BTreeMap<&str, HashSet<u32, RandomState>> = BTreeMap::new();
        for place in self.0.keys().filter(|it| shows(it.owner)) {
            blocks.insert(place.block);
            let of_it = of_subsystem.entry(subsystem(place.owner)).or_default();
            of_it.insert(place.block);
        }
        let bytes = |blocks: &HashSet<u32, _>| {
            blocks.len() as u64 * huge_page_pages(page_bytes()) * page_bytes()
        };
        SpoiledBytes {
            all: bytes(&blocks),
            by_subsystem: of_subsystem
                .iter()
                .map(|(name, it)| (*name, bytes(it)))
                .collect(),
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
            &[place(1, 0), place(2, 511), place(3, 7), place(1, 512)],
        );
        // The same block from another part of the ledger.
        spoiled.replace(&[], &[place(1, 3)]);
        let wanted = vec![("io_uring_buffers", 2), ("vfio", 1)];
        assert_eq!(blocks(&spoiled), (2, wanted));
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
