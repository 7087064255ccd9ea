//! Owners whose process has ended: their pins are looked for in the kernel before they are
//! suspected.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use crate::{
    collect::{auditor::Auditor, holdings::Holdings},
    kernel::sys,
    owners::{directory::Directory, processes::Life, suspects::Present},
};

/// Owners, and when they were first found to have ended.
#[derive(Debug, Default)]
pub(super) struct Ends(HashMap<u32, Duration>);

impl Ends {
    /// Whose process has ended.
    pub(super) fn note(
        &mut self,
        holdings: &Holdings,
        directory: &Directory,
        auditor: &mut Auditor,
        now: Duration,
    ) {
        let owners = holdings.by_holder.keys().map(|it| it.owner);
        let owners: HashSet<u32> = owners
            .filter(|it| directory.life(*it) == Life::Ended)
            .collect();
        self.0.retain(|owner, _| owners.contains(owner));
        for owner in owners {
            self.0.entry(owner).or_insert(now);
        }
        let is_unsettled = |since: &Duration| !auditor.has_settled_since(*since);
        if self.0.values().any(is_unsettled) {
            auditor.hurry(now);
        }
    }

    /// What each owner holds; it is dead once the kernel was asked for its pins.
    pub(super) fn present(&self, holdings: &Holdings, auditor: &Auditor) -> HashMap<u32, Present> {
        let boot = sys::since_boot();
        let mut present: HashMap<u32, Present> = HashMap::new();
        for (holder, holding) in &holdings.by_holder {
            let oldest = boot.saturating_sub(Duration::from_nanos(holding.since_ns));
            let ended = self.0.get(&holder.owner);
            let owner = present.entry(holder.owner).or_insert(Present {
                pins: 0,
                oldest,
                is_dead: ended.is_some_and(|it| auditor.has_settled_since(*it)),
            });
            owner.pins += holding.pins;
            owner.oldest = owner.oldest.max(oldest);
        }
        present
    }
}
