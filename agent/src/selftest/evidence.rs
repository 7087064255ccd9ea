//! What ledger and counters hold of this very process: what it took, by function and flags,
//! and what it has not given back. Others may pin as they like meanwhile.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    io::{self, Error},
    time::Instant,
};

use probe_abi::{GUP_FUNCTIONS, Lost, Owner};

use crate::kernel::maps::{Counters, LedgerView, OwnerTable};

/// Pages taken, by function and flags.
pub(super) type Taken = BTreeMap<(&'static str, u32), u64>;

/// How an owner's record is known to be ours. Not by its process id, which is
/// another one in a namespace.
pub(super) struct Witness<'a> {
    counters: &'a Counters,
    ledger: &'a LedgerView,
    owners: &'a OwnerTable,
    comm: Vec<u8>,
    /// Clock ticks from boot to our start, and nanoseconds of one.
    start: u64,
    tick_ns: u64,
}

impl<'a> Witness<'a> {
    pub(super) fn new(
        counters: &'a Counters,
        ledger: &'a LedgerView,
        owners: &'a OwnerTable,
    ) -> io::Result<Self> {
        // SAFETY: no precondition.
        let ticks = u64::try_from(unsafe { libc::sysconf(libc::_SC_CLK_TCK) }).unwrap_or(100);
        Ok(Self {
            counters,
            ledger,
            owners,
            comm: fs::read("/proc/self/comm")?.trim_ascii_end().to_vec(),
            start: start(&fs::read_to_string("/proc/self/stat")?)
                .ok_or_else(|| Error::other("/proc/self/stat has another form"))?,
            tick_ns: 1_000_000_000 / ticks.max(1),
        })
    }

    /// Everything that we ever took.
    pub(super) fn taken(&self) -> Taken {
        let mut taken = Taken::new();
        for (_, owner) in self.ours() {
            if let Some(function) = GUP_FUNCTIONS.get(owner.function as usize) {
                *taken.entry((function, owner.flags)).or_default() += owner.pages_taken;
            }
        }
        taken
    }

    /// What `before` did not have.
    pub(super) fn taken_since(&self, before: &Taken) -> Taken {
        let mut taken = self.taken();
        for (key, pages) in before {
            if let Some(now) = taken.get_mut(key) {
                *now = now.saturating_sub(*pages);
            }
        }
        taken.retain(|_, pages| *pages > 0);
        taken
    }

    /// Ledger keys of what we hold, or held and the ledger remembers. Looks through
    /// all of the ledger, or as far as it comes until then.
    pub(super) fn keys(&self, until: Instant) -> HashSet<u64> {
        self.ledger.keys_of(&self.numbers(), until)
    }

    /// Entries that zaps took away during walks, on the folios of these keys.
    pub(super) fn zapped(&self, keys: &HashSet<u64>) -> u32 {
        self.ledger.zapped(keys, &self.numbers())
    }

    /// References that the ledger has in our name on the folios of these keys.
    pub(super) fn held(&self, keys: &HashSet<u64>) -> u64 {
        self.ledger.held(keys, &self.numbers())
    }

    /// Takes them out: plain references whose release no hook sees.
    pub(super) fn forget(&self, keys: &HashSet<u64>) {
        self.ledger.forget(keys, &self.numbers());
    }

    /// Samples of walks that the ring had no room for, whoever's.
    pub(super) fn samples_lost(&self) -> u64 {
        self.counters.totals().lost[Lost::RING_FULL]
    }

    fn numbers(&self) -> HashSet<u32> {
        self.ours().map(|(number, _)| number).collect()
    }

    fn ours(&self) -> impl Iterator<Item = (u32, Owner)> {
        self.owners.in_use().filter(|(_, owner)| {
            let name = owner.comm.split(|it| *it == 0).next().unwrap_or_default();
            name == self.comm && owner.start_ns / self.tick_ns == self.start
        })
    }
}

/// `starttime` of `/proc/PID/stat`; the name before it may contain anything.
fn start(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_is_found_whatever_the_process_is_called() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4321 0 0";
        assert_eq!(start(stat), Some(4321));
    }
}
