//! The ledger's pins added up to rows. Where the ledger samples, rows are estimates.

use std::{collections::HashMap, time::Duration};

use serde::Serialize;

use super::group::About;
use crate::{
    kernel::{
        maps::PinEntry,
        sys::{now, page_bytes},
    },
    owners::{
        By, OwnerRegistry,
        sampling::{Share, Whole},
        suspects::Reason,
    },
};

/// Which pins are added up, and by what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Filter {
    pub(crate) by: By,
    /// Only what is held for at least this long.
    pub(crate) older_ms: u64,
    /// Only owners that are suspected of a leak.
    pub(crate) suspects: bool,
}

/// One line.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    #[serde(flatten)]
    pub(crate) about: About,
    pub(crate) pages: u64,
    pub(crate) bytes: u64,
    /// Half the width of the 95 % confidence interval, where the ledger samples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error_bytes: Option<u64>,
    /// Folios seen; of a sample, those in it.
    pub(crate) folios: u64,
    pub(crate) oldest_seconds: f64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) suspected: Vec<Reason>,
}

/// One folio in so many is in the ledger with all its pins.
pub(crate) fn one_in(owners: &OwnerRegistry) -> u64 {
    // Where no stratum is complete, the last one is the best there is.
    let from = owners.sampling.complete_from();
    1 << from.unwrap_or(probe_abi::STRATA - 1)
}

/// Every group, the largest first.
pub(crate) fn rows(owners: &mut OwnerRegistry, filter: Filter, total: u64) -> Vec<Row> {
    let one_in = one_in(owners);
    let sample: Vec<PinEntry> = owners
        .ledger
        .pins
        .iter()
        .filter(|it| one_in == 1 || 1 << it.stratum() >= one_in)
        .copied()
        .collect();
    let (whole, folios) = whole(&sample);
    let now = now();
    owners.files.forget();
    let mut groups: HashMap<String, Group> = HashMap::new();
    for entry in &sample {
        let age = now.saturating_sub(Duration::from_nanos(entry.since_ns));
        let reasons = owners.suspects.of(entry.owner).to_vec();
        let young = age < Duration::from_millis(filter.older_ms);
        if young || filter.suspects && reasons.is_empty() {
            continue;
        }
        let about = About::of(owners, entry, filter.by);
        let group = groups.entry(about.key()).or_insert_with(|| Group {
            about,
            folios: HashMap::new(),
            oldest: age,
            reasons: Vec::new(),
        });
        *group.folios.entry(entry.key).or_default() += u64::from(entry.pins);
        group.oldest = group.oldest.max(age);
        group.reasons.extend(reasons);
    }
    let mut rows: Vec<Row> = groups
        .into_values()
        .map(|group| group.row(&whole, &folios, total, one_in))
        .collect();
    rows.sort_by(|one, other| {
        other
            .pages
            .cmp(&one.pages)
            .then_with(|| one.about.key().cmp(&other.about.key()))
    });
    rows
}

struct Group {
    about: About,
    /// This group's pins by folio.
    folios: HashMap<u64, u64>,
    oldest: Duration,
    reasons: Vec<Reason>,
}

impl Group {
    fn row(self, whole: &Whole, all: &HashMap<u64, u64>, total: u64, one_in: u64) -> Row {
        let mut share = Share::default();
        let mut counted = 0;
        for (key, mine) in &self.folios {
            counted += mine;
            share.add(*mine, all.get(key).copied().unwrap_or(*mine));
        }
        let (pages, error) = if one_in == 1 {
            (counted, None)
        } else {
            let (estimate, error) = share.of(whole, total, one_in);
            (estimate.round() as u64, Some(error))
        };
        let mut suspected = self.reasons;
        suspected.sort_unstable();
        suspected.dedup();
        Row {
            about: self.about,
            pages,
            bytes: pages * page_bytes(),
            error_bytes: error.map(|it| (it * page_bytes() as f64).round() as u64),
            folios: self.folios.len() as u64,
            oldest_seconds: self.oldest.as_secs_f64(),
            suspected,
        }
    }
}

/// The sample as a whole, and the pins of each of its folios.
fn whole(sample: &[PinEntry]) -> (Whole, HashMap<u64, u64>) {
    let mut folios: HashMap<u64, u64> = HashMap::new();
    for entry in sample {
        *folios.entry(entry.key).or_default() += u64::from(entry.pins);
    }
    let mut whole = Whole::default();
    for pages in folios.values() {
        whole.add(*pages);
    }
    (whole, folios)
}
