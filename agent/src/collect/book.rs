//! What is pinned, in rows: by process, user, cgroup, memory cgroup, subsystem, file or call path.
//!
//! A row's pins are what the kernel counts, its memory is that of the folios that they hold. A
//! folio that several rows hold is divided among them evenly, so that rows add up to the whole.
//! Where the ledger samples, every figure is an estimate with its error.

mod about;

use std::collections::{BTreeSet, HashMap};

use foldhash::fast::RandomState;

use super::{
    holdings::{Holder, Holdings, Squares},
    sampling::{Estimate, Share, Whole},
    spoiled::SpoiledBytes,
};
use crate::owners::{
    By,
    directory::Directory,
    registry::OwnerInfo,
    suspects::{Reason, Suspects},
};
pub(crate) use about::About;
#[cfg(test)]
pub(crate) use about::Cgroup;
use about::Key;

/// All rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Book {
    tables: HashMap<By, Vec<Row>>,
    /// One folio in so many is in the ledger, whatever it is pinned by: 1 is every one, and then
    /// all figures are exact.
    pub(crate) one_in: u64,
    /// Folios that are pinned, and their memory.
    pub(crate) folios: Estimate,
    pub(crate) bytes: Estimate,
    pub(crate) spoiled: SpoiledBytes,
}

/// One row.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) about: About,
    pub(crate) pins: Estimate,
    pub(crate) bytes: Estimate,
    /// Folios that it holds, those that others hold too included.
    pub(crate) folios: Estimate,
    /// Of the pins that were seen, those of which it is a guess that they are this row's.
    pub(crate) guessed: u64,
    /// Of the pins that are known, those from before the agent started.
    pub(crate) preexisting: u64,
    /// When the oldest folio was pinned, nanoseconds since boot; where that was before the agent
    /// started, when it was found.
    pub(crate) since_ns: u64,
    pub(crate) suspected: BTreeSet<Reason>,
    /// Of a process that ends: pins that it releases a second; 0 of another row.
    pub(crate) releases: f64,
}

/// What rows are made from.
#[derive(Clone, Copy)]
pub(crate) struct Sources<'a> {
    pub(crate) holdings: &'a Holdings,
    pub(crate) directory: &'a Directory,
    pub(crate) suspects: &'a Suspects,
    /// One folio in so many is in the ledger.
    pub(crate) one_in: u64,
    /// Pins that there are, those that sampling passes over included.
    pub(crate) pins: u64,
}

impl Book {
    /// All rows of owners that `shows` picks.
    pub(crate) fn of(sources: &Sources<'_>, shows: &dyn Fn(u32) -> bool) -> Self {
        let whole = whole(sources);
        let (folios, bytes) = sums(sources);
        Self {
            tables: By::ALL
                .into_iter()
                .map(|by| (by, table(sources, &whole, by, shows)))
                .collect(),
            one_in: sources.one_in,
            folios: folios.of(&whole),
            bytes: bytes.of(&whole),
            spoiled: sources
                .holdings
                .spoiled
                .bytes(|it| about::subsystem(sources.directory, it), shows),
        }
    }

    /// Those by one thing, the most memory first.
    pub(crate) fn rows(&self, by: By) -> &[Row] {
        self.tables.get(&by).map_or(&[], Vec::as_slice)
    }
}

/// What is added up of a group.
struct Group {
    about: About,
    pins: Share,
    bytes: Share,
    folios: Share,
    guessed: u64,
    preexisting: u64,
    since_ns: u64,
    suspected: BTreeSet<Reason>,
    releases: f64,
}

/// The groups, and which of them a holder is of.
struct Groups<'a> {
    sources: &'a Sources<'a>,
    by: By,
    groups: Vec<Group>,
    by_key: HashMap<Key, usize, RandomState>,
    by_holder: HashMap<Holder, usize, RandomState>,
}

impl Groups<'_> {
    /// The group of a holder: its number.
    fn of(&mut self, holder: &Holder) -> usize {
        if let Some(known) = self.by_holder.get(holder) {
            return *known;
        }
        let (key, about) = about::of(self.sources.directory, holder, self.by);
        let number = *self.by_key.entry(key).or_insert_with(|| {
            self.groups.push(Group {
                about,
                pins: Share::default(),
                bytes: Share::default(),
                folios: Share::default(),
                guessed: 0,
                preexisting: 0,
                since_ns: u64::MAX,
                suspected: BTreeSet::new(),
                releases: 0.0,
            });
            self.groups.len() - 1
        });
        self.by_holder.insert(*holder, number);
        number
    }
}

fn table(sources: &Sources<'_>, whole: &Whole, by: By, shows: &dyn Fn(u32) -> bool) -> Vec<Row> {
    let mut groups = Groups {
        sources,
        by,
        groups: Vec::new(),
        by_key: HashMap::default(),
        by_holder: HashMap::default(),
    };
    for (holder, holding) in &sources.holdings.by_holder {
        if !shows(holder.owner) {
            continue;
        }
        let number = groups.of(holder);
        let group = &mut groups.groups[number];
        group.guessed += holding.guessed;
        let owner = sources.directory.owner(holder.owner);
        if owner.is_some_and(OwnerInfo::is_preexisting) {
            group.preexisting += holding.pins;
        }
        group.since_ns = group.since_ns.min(holding.since_ns);
        group.suspected.extend(sources.suspects.of(holder.owner));
        if by == By::Process {
            let process = owner.and_then(|it| sources.suspects.releases(it.process));
            group.releases = group.releases.max(process.unwrap_or(0.0));
        }
        let (pins, bytes, folios) = (holding.own_pins, holding.bytes, holding.folios);
        let Squares {
            pins: pins2,
            bytes: bytes2,
            both,
        } = holding.squares;
        group.pins.add_sums(pins as f64, pins2, pins2);
        group.bytes.add_sums(bytes as f64, bytes2, both);
        group
            .folios
            .add_sums(folios as f64, folios as f64, pins as f64);
    }
    for (folio, count) in &sources.holdings.shared {
        let all = folio.parts.iter().map(|(_, pins)| pins).sum::<u64>() as f64;
        // Also of those that are not shown: a folio is divided among all that hold it.
        let mut held: Vec<(usize, u64, bool)> = Vec::with_capacity(folio.parts.len());
        for (holder, pins) in &folio.parts {
            let number = groups.of(holder);
            match held.iter_mut().find(|it| it.0 == number) {
                Some(part) => {
                    part.1 += pins;
                    part.2 |= shows(holder.owner);
                }
                None => held.push((number, *pins, shows(holder.owner))),
            }
        }
        let among = held.len() as u64;
        for (place, (number, pins, is_shown)) in held.into_iter().enumerate() {
            if !is_shown {
                continue;
            }
            // What is left over is the first one's: a byte here and there, or sums would be off.
            let left = if place == 0 { folio.bytes % among } else { 0 };
            let bytes = (folio.bytes / among + left) as f64;
            let group = &mut groups.groups[number];
            group.pins.add_times(*count, pins as f64, all);
            group.bytes.add_times(*count, bytes, all);
            group.folios.add_times(*count, 1.0, all);
        }
    }
    let groups = groups.groups.into_iter().filter(|it| it.folios.sum > 0.0);
    let mut rows: Vec<Row> = groups.map(|it| it.row(whole)).collect();
    rows.sort_by(|one, other| {
        let by_size = other.bytes.value.total_cmp(&one.bytes.value);
        let by_pins = || other.pins.value.total_cmp(&one.pins.value);
        by_size
            .then_with(by_pins)
            .then_with(|| one.about.cmp(&other.about))
    });
    rows
}

impl Group {
    fn row(self, whole: &Whole) -> Row {
        Row {
            about: self.about,
            pins: self.pins.of(whole),
            bytes: self.bytes.of(whole),
            folios: self.folios.of(whole),
            guessed: self.guessed,
            preexisting: self.preexisting,
            since_ns: self.since_ns,
            suspected: self.suspected,
            releases: self.releases,
        }
    }
}

/// The sample as a whole.
fn whole(sources: &Sources<'_>) -> Whole {
    let mut squares = 0.0;
    for holding in sources.holdings.by_holder.values() {
        squares += holding.squares.pins;
    }
    for (folio, count) in &sources.holdings.shared {
        let pins = folio.parts.iter().map(|(_, pins)| pins).sum::<u64>() as f64;
        squares += pins * pins * *count as f64;
    }
    Whole {
        pins: sources.holdings.sums.sampled_pins as f64,
        squares,
        total: sources.pins,
        one_in: sources.one_in,
    }
}

/// Folios and their memory, of all.
fn sums(sources: &Sources<'_>) -> (Share, Share) {
    let (mut folios, mut bytes) = (Share::default(), Share::default());
    for holding in sources.holdings.by_holder.values() {
        let count = holding.folios as f64;
        folios.add_sums(count, count, holding.own_pins as f64);
        bytes.add_sums(
            holding.bytes as f64,
            holding.squares.bytes,
            holding.squares.both,
        );
    }
    for (folio, count) in &sources.holdings.shared {
        let pins = folio.parts.iter().map(|(_, pins)| pins).sum::<u64>() as f64;
        folios.add_times(*count, 1.0, pins);
        bytes.add_times(*count, folio.bytes as f64, pins);
    }
    (folios, bytes)
}

#[cfg(test)]
mod tests;
