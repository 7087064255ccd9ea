//! What ledger and counters hold of this very process: what it took, by function and flags,
//! and what it has not released. Others may pin as they like meanwhile.

use std::{
    cell::Cell,
    collections::{BTreeMap, HashSet},
    fs,
    io::{self, Error},
    time::Instant,
};

use probe_abi::{Amendment, GUP_FUNCTIONS, Lost, Owner, Word};

use crate::kernel::{
    inspect::Inspector,
    maps::{Counters, LedgerView, OwnerTable, Slot},
    process::{Stat, TICKS_A_SECOND},
    vmstat::{self, PinCounts},
};

/// Nanoseconds of a clock tick.
const TICK_NS: u64 = 1_000_000_000 / TICKS_A_SECOND;

/// Pages taken, by function and flags.
pub(super) type Taken = BTreeMap<(&'static str, u32), u64>;

/// The kernel's own count of pins acquired.
#[derive(Clone, Copy, Debug)]
pub(super) struct Acquired {
    pub(super) pins: u64,
    /// Whether it has what each CPU keeps back for a while.
    pub(super) is_exact: bool,
}

/// How an owner's record is known to be ours. Not by its process id, which is
/// another one in a namespace.
pub(super) struct Witness<'a> {
    counters: &'a Counters,
    ledger: &'a LedgerView,
    owners: &'a OwnerTable,
    inspector: &'a Inspector,
    /// The process's and this thread's: the record has that of whoever pinned first.
    comms: [Vec<u8>; 2],
    /// Clock ticks from boot to our start.
    start: u64,
    /// Pins that [`Self::forget`] took out.
    forgotten: Cell<u64>,
}

impl<'a> Witness<'a> {
    pub(super) fn new(
        counters: &'a Counters,
        ledger: &'a LedgerView,
        owners: &'a OwnerTable,
        inspector: &'a Inspector,
    ) -> io::Result<Self> {
        Ok(Self {
            counters,
            ledger,
            owners,
            inspector,
            comms: [comm("/proc/self/comm")?, comm("/proc/thread-self/comm")?],
            start: Stat::parse(&fs::read("/proc/self/stat")?)
                .map(|it| it.start_ticks)
                .ok_or_else(|| Error::other("/proc/self/stat has another form"))?,
            forgotten: Cell::new(0),
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
        self.keys_of(until, |_| true)
    }

    /// Those of what we hold.
    pub(super) fn keys_held(&self, until: Instant) -> HashSet<u64> {
        self.keys_of(until, |it| it.word.count() > 0)
    }

    fn keys_of(&self, until: Instant, is_wanted: impl Fn(&Slot) -> bool) -> HashSet<u64> {
        const BETWEEN_LOOKS_AT_THE_CLOCK: usize = 1024;
        let numbers = self.numbers();
        let mut keys = HashSet::new();
        for bucket in 0..self.ledger.buckets() {
            if bucket.is_multiple_of(BETWEEN_LOOKS_AT_THE_CLOCK) && Instant::now() > until {
                break;
            }
            let ours = self.ledger.slots_in(bucket);
            let ours = ours.filter(|it| numbers.contains(&it.owner()) && is_wanted(it));
            keys.extend(ours.map(|it| it.key()));
        }
        keys
    }

    /// Mapcount decrements by zaps that were noted on the folios of these keys.
    pub(super) fn zapped(&self, keys: &HashSet<u64>) -> u32 {
        let noted = self.ours_of(keys).map(|it| it.note.zaps);
        noted.fold(0, u32::wrapping_add)
    }

    /// References that the ledger has in our name on the folios of these keys.
    pub(super) fn held(&self, keys: &HashSet<u64>) -> u64 {
        let slots = self.ours_of(keys);
        slots.map(|it| u64::from(it.word.count())).sum()
    }

    /// Takes them out: plain references whose release no hook sees, and what is remembered.
    /// One that changes just now stays: nothing is held by then.
    pub(super) fn forget(&self, keys: &HashSet<u64>) {
        let mut amendments: Vec<Amendment> = self
            .ours_of(keys)
            .map(|slot| Amendment {
                kind: Amendment::FORGET,
                bucket: slot.bucket,
                slot: slot.slot,
                owner: slot.owner(),
                word: slot.word.0,
                ..Amendment::default()
            })
            .collect();
        self.inspector.amend(&mut amendments);
        let pins = amendments
            .iter()
            .filter(|it| it.word & Word::GET == 0)
            .map(|it| it.done.saturating_sub(1));
        self.forgotten.set(self.forgotten.get() + pins.sum::<u64>());
    }

    /// Pins that were taken out, whose release no hook saw.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten.get()
    }

    /// Slots in our name on the folios of these keys.
    fn ours_of(&self, keys: &HashSet<u64>) -> impl Iterator<Item = Slot> {
        let numbers = self.numbers();
        let slots = keys.iter().flat_map(|key| self.ledger.slots_of(*key));
        slots.filter(move |it| numbers.contains(&it.owner()))
    }

    /// Pins that the kernel counts as acquired, ever.
    pub(super) fn acquired(&self) -> io::Result<Acquired> {
        if let Some(counts) = self.inspector.pins() {
            return Ok(Acquired {
                pins: counts.acquired,
                is_exact: true,
            });
        }
        let is_exact = vmstat::refresh();
        let counts = PinCounts::read().map_err(Error::other)?;
        Ok(Acquired {
            pins: counts.acquired,
            is_exact,
        })
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
            self.comms.iter().any(|it| it == name) && owner.start_ns / TICK_NS == self.start
        })
    }
}

fn comm(path: &str) -> io::Result<Vec<u8>> {
    Ok(fs::read(path)?.trim_ascii_end().to_vec())
}
