//! The probes' table of owners, mapped: reading its records, and taking away
//! those that nothing names any more.

use std::{mem::offset_of, sync::atomic::Ordering};

use aya::maps::MapData;
use probe_abi::{OWNER_PLACES, Owner, OwnerTag, owner_slot};

use super::mapped::Shared;
use crate::error::AgentError;

/// The table. Record 0 is nobody's: what is booked there has no known owner.
pub(crate) struct OwnerTable {
    records: Shared,
    count: usize,
}

impl OwnerTable {
    pub(crate) fn map(data: &MapData, count: usize) -> Result<Self, AgentError> {
        Ok(Self {
            records: Shared::new(data, "OWNERS", count * size_of::<Owner>())?,
            count,
        })
    }

    /// Records that there can be.
    pub(crate) fn capacity(&self) -> usize {
        self.count
    }

    /// Every record in use, with its index. One that changes hands while it is
    /// read is passed over: it is there again the next time.
    pub(crate) fn in_use(&self) -> impl Iterator<Item = (u32, Owner)> {
        (1..self.count).filter_map(|index| {
            let tag = self.tag(index);
            let named = [OwnerTag::LIVE, OwnerTag::RETIRING].contains(&tag.state());
            if !named {
                return None;
            }
            let record: Owner = self.records.copy(index * size_of::<Owner>());
            tag.same_identity(self.tag(index))
                .then_some((index as u32, record))
        })
    }

    /// What has no known owner.
    pub(crate) fn nobody(&self) -> Owner {
        self.records.copy(0)
    }

    /// Announces that a record will be taken away. A probe that uses it before
    /// then brings it back.
    pub(crate) fn retire(&self, index: u32) -> bool {
        self.change(index, OwnerTag::LIVE, OwnerTag::RETIRING)
    }

    /// Takes a retiring record away; what it had counted, if it was not brought
    /// back meanwhile. The caller has seen that no slot of the ledger names it.
    pub(crate) fn free(&self, index: u32) -> Option<Owner> {
        if !self.change(index, OwnerTag::RETIRING, OwnerTag::BUSY) {
            return None;
        }
        let at = index as usize * size_of::<Owner>();
        let record: Owner = self.records.copy(at);
        // The tag last: with it the record is free.
        for offset in (0..size_of::<Owner>()).step_by(8).rev() {
            self.records.word(at + offset).store(0, Ordering::Release);
        }
        Some(record)
    }

    /// Makes a record of an owner that the probes do not know; its index, and `None` if there is no
    /// room for it where records of its kind are. `hash` tells it from all others.
    pub(crate) fn enter(&self, hash: u64, record: &Owner) -> Option<u32> {
        let live = OwnerTag::new(hash | 4, OwnerTag::LIVE);
        let busy = OwnerTag::new(live.0, OwnerTag::BUSY);
        let mask = self.count as u32 - 1;
        let mut places = (0..OWNER_PLACES).map(|it| owner_slot(live.0, it, mask));
        let is_taken = |index: &u32| {
            let tag = self.records.word(Self::tag_at(*index));
            let (from, to) = (Ordering::AcqRel, Ordering::Acquire);
            *index != 0 && tag.compare_exchange(0, busy.0, from, to).is_ok()
        };
        let index = places.find(is_taken)?;
        let at = index as usize * size_of::<Owner>();
        let words: &[u64] = bytemuck::cast_slice(bytemuck::bytes_of(record));
        // The tag last: with it the record is there.
        for (number, word) in words.iter().enumerate().skip(1) {
            self.records
                .word(at + number * 8)
                .store(*word, Ordering::Release);
        }
        let tag = self.records.word(Self::tag_at(index));
        tag.store(live.0, Ordering::Release);
        Some(index)
    }

    fn tag_at(index: u32) -> usize {
        index as usize * size_of::<Owner>() + offset_of!(Owner, tag)
    }

    fn change(&self, index: u32, from: u64, to: u64) -> bool {
        let tag = self.tag(index as usize);
        tag.state() == from
            && self
                .records
                .word(Self::tag_at(index))
                .compare_exchange(
                    tag.0,
                    OwnerTag::new(tag.0, to).0,
                    Ordering::AcqRel,
                    Ordering::Acquire,
                )
                .is_ok()
    }

    fn tag(&self, index: usize) -> OwnerTag {
        let at = index * size_of::<Owner>() + offset_of!(Owner, tag);
        OwnerTag(self.records.word(at).load(Ordering::Acquire))
    }
}
