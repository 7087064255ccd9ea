//! What the ledger holds, added up by owner, file and memory cgroup.
//!
//! A folio with one slot, which is nearly every one, belongs to one holding. One with
//! several is kept apart with all that hold it: how it is divided among the rows of a
//! report depends on what the rows stand for.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use probe_abi::{NoteFlags, SlotNote};

use super::spoiled::{Place, Spoiled};
use crate::kernel::{
    maps::{LedgerView, Slot},
    sys::page_bytes,
};

/// Tag bits of `folio->mapping`; the lowest of them tells anonymous memory.
const TAGS: u64 = 3;

/// `PAGE_MAPPING_ANON`, include/linux/page-flags.h.
pub(crate) const ANONYMOUS: u64 = 1;

/// Buckets that are looked at together: what did not change is not added up again.
const REGION: usize = 64;

/// Whose it is, and of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Holder {
    /// Index of the owner's record.
    pub(crate) owner: u32,
    /// `folio->mapping` of a file; of anonymous memory [`ANONYMOUS`], which has as many as
    /// there are areas of memory; 0 of what is neither.
    pub(crate) mapping: u64,
    /// The memory cgroup charged for it, as the kernel keeps it.
    pub(crate) memcg: u64,
}

impl Holder {
    fn of(slot: &Slot) -> Self {
        let SlotNote { mapping, memcg, .. } = slot.note;
        Self {
            owner: slot.owner(),
            mapping: match mapping & TAGS {
                0 => mapping,
                tags => tags & ANONYMOUS,
            },
            memcg,
        }
    }
}

/// What a holder has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Holding {
    /// Pins, also of folios that others hold too.
    pub(crate) pins: u64,
    /// Of those, pins of folios that nobody else holds.
    pub(crate) own_pins: u64,
    /// Of those, pins of which it is a guess that they are this owner's.
    pub(crate) guessed: u64,
    /// Folios that nobody else holds, and their memory.
    pub(crate) folios: u64,
    pub(crate) bytes: u64,
    /// When the oldest of its folios was pinned, nanoseconds since boot.
    pub(crate) since_ns: u64,
    /// Key of one of its folios, by which the file can be asked for.
    pub(crate) key: u64,
    /// Of the folios that nobody else holds, sums of squares and of products: pins by pins,
    /// bytes by bytes, bytes by pins. They say how far an estimate may be off.
    pub(crate) squares: Squares,
}

/// Sums over folios.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Squares {
    pub(crate) pins: f64,
    pub(crate) bytes: f64,
    pub(crate) both: f64,
}

impl Squares {
    /// One folio.
    pub(crate) fn of(pins: u64, bytes: u64) -> Self {
        let (pins, bytes) = (pins as f64, bytes as f64);
        Self {
            pins: pins * pins,
            bytes: bytes * bytes,
            both: pins * bytes,
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.pins += other.pins;
        self.bytes += other.bytes;
        self.both += other.both;
    }
}

/// A folio that several hold.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SharedFolio {
    /// Who, and how many pins each has.
    pub(crate) parts: Vec<(Holder, u64)>,
    pub(crate) bytes: u64,
}

/// The ledger, added up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Holdings {
    pub(crate) by_holder: HashMap<Holder, Holding, RandomState>,
    /// Folios that several hold, those alike together, and how many they are.
    pub(crate) shared: HashMap<SharedFolio, u64, RandomState>,
    /// Files of which the ledger remembers a folio, pinned or not, by `folio->mapping`.
    pub(crate) files: HashMap<u64, FileUse, RandomState>,
    pub(crate) sums: Sums,
    pub(crate) spoiled: Spoiled,
}

/// How the ledger remembers a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileUse {
    /// Key of one of its folios.
    pub(crate) key: u64,
    /// Whether a reference of any kind is held.
    pub(crate) is_held: bool,
    /// When the latest of them was taken for a folio that had none, nanoseconds since boot.
    pub(crate) since_ns: u64,
}

impl FileUse {
    fn of(slot: &Slot) -> Self {
        Self {
            key: slot.key(),
            is_held: slot.pins() + slot.references() > 0,
            since_ns: slot.note.since_ns,
        }
    }

    /// The folio that is held is the one to ask for.
    fn add(&mut self, other: &Self) {
        if other.is_held && !self.is_held {
            self.key = other.key;
        }
        self.is_held |= other.is_held;
        self.since_ns = self.since_ns.max(other.since_ns);
    }
}

type Files = HashMap<u64, FileUse, RandomState>;

fn add_file(files: &mut Files, mapping: u64, used: &FileUse) {
    let known = files.entry(mapping);
    known.and_modify(|it| it.add(used)).or_insert(*used);
}

/// Sums over all slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    /// Pins, whatever the folio's stratum.
    pub(crate) pins: u64,
    /// Of those, pins of folios of the sample: where all of the ledger is complete, all.
    pub(crate) sampled_pins: u64,
    /// Folios of the sample with pins, and their memory.
    pub(crate) folios: u64,
    pub(crate) bytes: u64,
    /// Plain references.
    pub(crate) references: u64,
    /// Slots in use, tombstones included.
    pub(crate) slots: u64,
    /// Places with a hint.
    pub(crate) hints: u64,
}

impl Sums {
    fn add(&mut self, other: &Self) {
        self.pins += other.pins;
        self.sampled_pins += other.sampled_pins;
        self.folios += other.folios;
        self.bytes += other.bytes;
        self.references += other.references;
        self.slots += other.slots;
        self.hints += other.hints;
    }
}

/// Adds the ledger up, again and again.
#[derive(Debug, Default)]
pub(crate) struct Adder {
    regions: Vec<Region>,
    /// The sample is of folios of the strata from here on.
    from: usize,
    holdings: Holdings,
}

/// Some buckets, as they were when they last changed.
#[derive(Debug, Default)]
struct Region {
    digest: u64,
    holdings: Vec<(Holder, Holding)>,
    /// Slots of folios that may have others, in this region or elsewhere.
    apart: Vec<Slot>,
    files: Vec<(u64, FileUse)>,
    sums: Sums,
    owners: Vec<u32>,
    /// Each once, in their order.
    spoiled: Vec<Place>,
}

impl Adder {
    /// Reads what the ledger holds now; of the strata below `from` only the sum. Whether it is
    /// something else than before.
    pub(crate) fn add_up(&mut self, ledger: &LedgerView, from: usize) -> bool {
        let regions = ledger.buckets().div_ceil(REGION);
        let is_new = self.regions.len() != regions || self.from != from;
        let mut is_changed = is_new;
        self.from = from;
        self.regions.resize_with(regions, Region::default);
        let mut spoiled = std::mem::take(&mut self.holdings.spoiled);
        for (number, region) in self.regions.iter_mut().enumerate() {
            let first = number * REGION;
            let buckets = first..(first + REGION).min(ledger.buckets());
            if is_new || ledger.digest(buckets.clone()) != region.digest {
                // What is remembered is what was added up: a pin may have come and gone since
                // the look before.
                let (slots, digest) = ledger.slots_and_digest(buckets);
                let now = Region::of(ledger, slots.into_iter(), from, u64::MAX);
                spoiled.replace(&region.spoiled, &now.spoiled);
                *region = now;
                region.digest = digest;
                is_changed = true;
            }
        }
        if is_changed {
            self.holdings = folded(&self.regions);
        }
        self.holdings.spoiled = spoiled;
        is_changed
    }

    /// From which stratum on, when it was last added up.
    pub(crate) fn from(&self) -> usize {
        self.from
    }

    /// What the ledger held when it was last added up.
    pub(crate) fn holdings(&self) -> &Holdings {
        &self.holdings
    }

    /// Every owner that a slot names, whatever its count, when the ledger was last added up.
    pub(crate) fn owners(&self) -> impl Iterator<Item = u32> {
        self.regions.iter().flat_map(|it| it.owners.iter().copied())
    }
}

/// What of the ledger has been held since then, nanoseconds since boot, or longer. Without what that
/// spoils, which no report of a selection has.
pub(crate) fn held_since(ledger: &LedgerView, from: usize, since_ns: u64) -> Holdings {
    folded(&[Region::of(ledger, ledger.slots(), from, since_ns)])
}

impl Region {
    fn of(
        ledger: &LedgerView,
        slots: impl Iterator<Item = Slot>,
        from: usize,
        latest_ns: u64,
    ) -> Self {
        let mut holdings: HashMap<Holder, Holding, RandomState> = HashMap::default();
        let mut region = Self::default();
        let mut owners = HashMap::<u32, (), RandomState>::default();
        let mut files = Files::default();
        for slot in slots {
            region.sums.slots += 1;
            region.sums.references += slot.references();
            region.sums.pins += slot.pins();
            region.sums.hints += u64::from(slot.word.0 & probe_abi::Word::HINT != 0);
            owners.insert(slot.owner(), ());
            let mapping = slot.note.mapping;
            if mapping != 0 && mapping & TAGS == 0 {
                add_file(&mut files, mapping, &FileUse::of(&slot));
            }
            if slot.pins() == 0 || slot.stratum() < from || slot.note.since_ns > latest_ns {
                continue;
            }
            region.sums.sampled_pins += slot.pins();
            region.spoiled.extend(Place::of(&slot));
            if !ledger.is_alone(&slot) {
                region.apart.push(slot);
                continue;
            }
            let bytes = slot.pages() * page_bytes();
            region.sums.folios += 1;
            region.sums.bytes += bytes;
            add(&mut holdings, &slot).add_own(slot.pins(), bytes);
        }
        region.holdings = holdings.into_iter().collect();
        region.owners = owners.into_keys().collect();
        region.files = files.into_iter().collect();
        region.spoiled.sort_unstable();
        region.spoiled.dedup();
        region
    }
}

/// Adds a slot to its holder's; what it holds alone is added by [`Holding::add_own`].
fn add<'a>(
    holdings: &'a mut HashMap<Holder, Holding, RandomState>,
    slot: &Slot,
) -> &'a mut Holding {
    let holding = holdings.entry(Holder::of(slot)).or_insert(Holding {
        pins: 0,
        own_pins: 0,
        guessed: 0,
        folios: 0,
        bytes: 0,
        since_ns: slot.note.since_ns,
        key: slot.key(),
        squares: Squares::default(),
    });
    holding.pins += slot.pins();
    if slot.note.flags & NoteFlags::GUESS != 0 {
        holding.guessed += slot.pins();
    }
    holding.since_ns = holding.since_ns.min(slot.note.since_ns);
    holding
}

impl Holding {
    /// A folio that nobody else holds, with all its pins.
    fn add_own(&mut self, pins: u64, bytes: u64) {
        self.own_pins += pins;
        self.folios += 1;
        self.bytes += bytes;
        self.squares.add(&Squares::of(pins, bytes));
    }
}

fn folded(regions: &[Region]) -> Holdings {
    let mut all = Holdings::default();
    for region in regions {
        all.sums.add(&region.sums);
        for (mapping, used) in &region.files {
            add_file(&mut all.files, *mapping, used);
        }
        for (holder, part) in &region.holdings {
            let holding = all.by_holder.entry(*holder);
            let holding = holding
                .and_modify(|it| {
                    it.pins += part.pins;
                    it.own_pins += part.own_pins;
                    it.guessed += part.guessed;
                    it.folios += part.folios;
                    it.bytes += part.bytes;
                    it.squares.add(&part.squares);
                    it.since_ns = it.since_ns.min(part.since_ns);
                })
                .or_insert(*part);
            debug_assert!(holding.pins >= part.pins);
        }
    }
    let mut folios: HashMap<u64, Vec<&Slot>, RandomState> = HashMap::default();
    for slot in regions.iter().flat_map(|it| &it.apart) {
        folios.entry(slot.key()).or_default().push(slot);
    }
    for slots in folios.into_values() {
        let bytes = slots.iter().map(|it| it.pages()).max().unwrap_or(1) * page_bytes();
        all.sums.folios += 1;
        all.sums.bytes += bytes;
        let mut parts: Vec<(Holder, u64)> = Vec::new();
        for slot in &slots {
            let holder = Holder::of(slot);
            match parts.iter_mut().find(|it| it.0 == holder) {
                Some(part) => part.1 += slot.pins(),
                None => parts.push((holder, slot.pins())),
            }
        }
        let mut last = None;
        for slot in &slots {
            last = Some(add(&mut all.by_holder, slot));
        }
        // Two slots of one holder are one folio.
        if let ([(_, pins)], Some(holding)) = (parts.as_slice(), last) {
            holding.add_own(*pins, bytes);
            continue;
        }
        parts.sort_unstable_by_key(|(it, _)| (it.owner, it.mapping, it.memcg));
        *all.shared.entry(SharedFolio { parts, bytes }).or_default() += 1;
    }
    all
}
