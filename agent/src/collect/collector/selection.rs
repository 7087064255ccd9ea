//! Which pins rows are asked for, and what has to have a name for them.

use std::time::Duration;

use crate::{
    collect::{calls::Calls, holdings::Holdings},
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
