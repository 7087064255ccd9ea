//! Who holds pins, as a report: by process, cgroup, subsystem, file or call path.
//! The running agent makes it; `pinscope pins` asks for it.

mod group;
mod text;

use std::{collections::HashMap, time::Duration};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::{
    books::Hold,
    cli::{Format, PinsOptions},
    error::AgentError,
    holders::{
        Holders, now,
        sampling::{Share, Whole},
        suspects::Reason,
    },
    metrics::page_bytes,
    output, socket,
    state::State,
};
pub(crate) use group::About;
#[cfg(test)]
pub(crate) use group::Cgroup;

/// What the rows of a report stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum By {
    /// The process that pinned.
    Process,
    /// The cgroup of that process.
    Cgroup,
    /// The memory cgroup that is charged for the memory, whoever pinned it.
    Memcg,
    /// The part of the kernel on whose behalf it is pinned.
    Subsystem,
    /// The file that the memory belongs to.
    File,
    /// The call path that pinned.
    Stack,
}

/// What a report is to show.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Wanted {
    pub(crate) by: By,
    /// Only what is held for at least this long.
    pub(crate) older_ms: u64,
    /// Rows at most; the rest is added up.
    pub(crate) top: usize,
    /// Only owners that are suspected of a leak.
    pub(crate) suspects: bool,
}

/// The report.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    by: By,
    /// Pages pinned and not released, of whatever age.
    pinned_pages: u64,
    pinned_bytes: u64,
    /// The kernel's own count of pins since the agent started: acquired less
    /// released in `/proc/vmstat`.
    vmstat_pages: i64,
    /// Pages that were pinned before, and are not known to be released.
    pinned_before_start_pages: u64,
    /// One folio in so many is in the ledger: 1 is every one, and then the rows
    /// are exact.
    sampled_one_in: u64,
    rows: Vec<Row>,
    /// Rows that were asked not to be shown, added up.
    other: Option<Rest>,
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

/// What is left.
#[derive(Debug, Serialize)]
pub(crate) struct Rest {
    pub(crate) rows: usize,
    pub(crate) pages: u64,
    pub(crate) bytes: u64,
}

/// `pinscope pins`.
pub(crate) fn pins(options: &PinsOptions) -> Result<(), AgentError> {
    let request = socket::Request::Pins {
        wanted: Wanted {
            by: options.by,
            older_ms: options
                .older
                .map_or(0, |it| u64::try_from(it.as_millis()).unwrap_or(u64::MAX)),
            top: options.top,
            suspects: options.suspects,
        },
        format: options.format,
    };
    let reply = socket::ask(&options.socket, &request)?;
    output::print(&reply.trim_end());
    Ok(())
}

impl Report {
    /// Makes it from what the agent knows now.
    pub(crate) fn of(state: &mut State, wanted: &Wanted) -> Result<Self, AgentError> {
        let snapshot = state.snapshot()?;
        let holders = &mut state.holders;
        let total = snapshot.outstanding.pinned_pages;
        let rows = rows(holders, wanted, total);
        let (rows, other) = cut(rows, wanted.top);
        Ok(Self {
            by: wanted.by,
            pinned_pages: total,
            pinned_bytes: total * page_bytes(),
            vmstat_pages: snapshot.vmstat_pages,
            pinned_before_start_pages: snapshot.from_before,
            sampled_one_in: one_in(holders),
            rows,
            other,
        })
    }

    /// As asked for.
    pub(crate) fn format(&self, format: Format) -> String {
        match format {
            Format::Text => text::text(self),
            Format::Json => serde_json::to_string_pretty(self).unwrap_or_else(|it| it.to_string()),
        }
    }
}

/// One folio in so many is in the ledger with all its pins.
pub(crate) fn one_in(holders: &Holders) -> u64 {
    // Where no stratum is complete, the last one is the best there is.
    let from = holders.sampling.complete_from();
    1 << from.unwrap_or(probe_abi::STRATA - 1)
}

/// Every group, the largest first.
pub(crate) fn rows(holders: &mut Holders, wanted: &Wanted, total: u64) -> Vec<Row> {
    let one_in = one_in(holders);
    let sample: Vec<Hold> = holders
        .holds
        .pins
        .iter()
        .filter(|it| one_in == 1 || 1 << it.stratum() >= one_in)
        .copied()
        .collect();
    let (whole, folios) = whole(&sample);
    let now = now();
    holders.files.forget();
    let mut groups: HashMap<String, Group> = HashMap::new();
    for hold in &sample {
        let age = now.saturating_sub(Duration::from_nanos(hold.since_ns));
        let reasons = holders.suspects.of(hold.owner).to_vec();
        let young = age < Duration::from_millis(wanted.older_ms);
        if young || wanted.suspects && reasons.is_empty() {
            continue;
        }
        let about = About::of(holders, hold, wanted.by);
        let group = groups.entry(about.key()).or_insert_with(|| Group {
            about,
            folios: HashMap::new(),
            oldest: age,
            reasons: Vec::new(),
        });
        *group.folios.entry(hold.key).or_default() += u64::from(hold.pins);
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
fn whole(sample: &[Hold]) -> (Whole, HashMap<u64, u64>) {
    let mut folios: HashMap<u64, u64> = HashMap::new();
    for hold in sample {
        *folios.entry(hold.key).or_default() += u64::from(hold.pins);
    }
    let mut whole = Whole::default();
    for pages in folios.values() {
        whole.add(*pages);
    }
    (whole, folios)
}

/// Keeps the first rows, and adds the others up.
fn cut(mut rows: Vec<Row>, top: usize) -> (Vec<Row>, Option<Rest>) {
    let cut = rows.split_off(top.min(rows.len()));
    let rest = Rest {
        rows: cut.len(),
        pages: cut.iter().map(|it| it.pages).sum(),
        bytes: cut.iter().map(|it| it.bytes).sum(),
    };
    (rows, (rest.rows > 0).then_some(rest))
}
