//! Owners whose process has ended: their pins are looked for in the kernel before they are
//! suspected.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use crate::{
    collect::{auditor::Auditor, holdings::Holdings},
    kernel::sys,
    owners::{
        directory::Directory,
        processes::{Life, ProcessId},
        registry::OwnerInfo,
        suspects::Present,
    },
};

/// Owners whose process has ended or is about to.
#[derive(Debug, Default)]
pub(super) struct Ends {
    /// When they were first found to have ended.
    ended: HashMap<u32, Duration>,
    /// Whose process has ended or was told to, and which that is.
    ending: HashMap<u32, ProcessId>,
}

impl Ends {
    /// Whose process has ended.
    pub(super) fn note(
        &mut self,
        holdings: &Holdings,
        directory: &Directory,
        auditor: &mut Auditor,
        now: Duration,
    ) {
        let owners: HashSet<u32> = holdings.by_holder.keys().map(|it| it.owner).collect();
        self.ending.clear();
        self.ended.retain(|owner, _| owners.contains(owner));
        for owner in owners {
            let life = directory.life(owner);
            let known = directory.owner(owner);
            // Who maps pins from before the start need not have taken them.
            let is_sure = !known.is_some_and(OwnerInfo::is_preexisting);
            if life == Life::Ended && is_sure {
                self.ended.entry(owner).or_insert(now);
            } else {
                self.ended.remove(&owner);
            }
            if matches!(life, Life::Ended | Life::Exiting)
                && let Some(known) = known
            {
                self.ending.insert(owner, known.process);
            }
        }
        let is_unsettled = |since: &Duration| !auditor.has_settled_since(*since);
        if self.ended.values().any(is_unsettled) {
            auditor.hurry(now);
        }
    }

    /// What each owner holds; it is dead once the kernel was asked for its pins.
    pub(super) fn present(&self, holdings: &Holdings, auditor: &Auditor) -> HashMap<u32, Present> {
        let boot = sys::since_boot();
        let mut present: HashMap<u32, Present> = HashMap::new();
        for (holder, holding) in &holdings.by_holder {
            let oldest = boot.saturating_sub(Duration::from_nanos(holding.since_ns));
            let ended = self.ended.get(&holder.owner);
            let owner = present.entry(holder.owner).or_insert(Present {
                pins: 0,
                sure: 0,
                oldest,
                ending: self.ending.get(&holder.owner).copied(),
                is_dead: ended.is_some_and(|it| auditor.has_settled_since(*it)),
            });
            owner.pins += holding.pins;
            owner.sure += holding.pins.saturating_sub(holding.guessed);
            owner.oldest = owner.oldest.max(oldest);
        }
        present
    }
}
