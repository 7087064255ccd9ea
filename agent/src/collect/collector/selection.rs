//! Which pins rows are asked for, and what has to have a name for them.

use std::time::Duration;

use crate::{
    collect::{
        calls::Calls,
        holdings::{Holdings, held_since},
    },
    kernel::{maps::LedgerView, sys},
    owners::directory::Wanted,
};

/// Which pins rows are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    /// Held for at least so long.
    pub(crate) min_age: Duration,
    /// Of owners that are suspected.
    pub(crate) suspects: bool,
}

impl Selection {
    /// What of the ledger is that old, from this stratum on; `None` where no age is asked for.
    pub(super) fn aged(self, ledger: &LedgerView, from: usize) -> Option<Holdings> {
        let latest = (sys::since_boot().saturating_sub(self.min_age)).as_nanos() as u64;
        (!self.min_age.is_zero()).then(|| held_since(ledger, from, latest))
    }
}

/// The part of all pins that these have. Of what is old, the pins are known of the sample only.
pub(super) fn part(holdings: &Holdings, everything: &Holdings) -> f64 {
    let sampled = |it: &Holdings| it.sums.sampled_pins as f64;
    (sampled(holdings) / sampled(everything).max(1.0)).min(1.0)
}

/// What has to have a name.
pub(super) fn wanted(holdings: &Holdings, calls: &Calls) -> Wanted {
    let mut wanted = Wanted {
        callers: calls.callers(),
        ..Wanted::default()
    };
    let shared = holdings.shared.keys().flat_map(|it| &it.parts);
    let shared = shared.map(|(holder, _)| (holder, 0));
    let holders = holdings.by_holder.iter();
    for (holder, key) in holders.map(|(it, holding)| (it, holding.key)).chain(shared) {
        wanted.owners.insert(holder.owner);
        wanted.memcgs.insert(holder.memcg);
        wanted.mappings.entry(holder.mapping).or_insert(key);
    }
    for (mapping, used) in &holdings.files {
        wanted.mappings.entry(*mapping).or_insert(used.key);
    }
    wanted
}
