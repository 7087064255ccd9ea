//! The report as data.

use std::time::Duration;

use hooks::Feeds;
use serde::{Deserialize, Serialize};

use crate::{
    collect::{About, Book, CallUnderWay, Estimate, Hook, Progress, Row, Selection, Snapshot},
    owners::{By, suspects::Reason},
    selftest::Tested,
};

/// What a report is to show.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Wanted {
    pub(crate) by: By,
    /// Only what is held for at least this long.
    pub(crate) min_age_ms: u64,
    /// Rows at most; the rest is added up.
    pub(crate) top: usize,
    /// Only owners that are suspected of a leak.
    pub(crate) suspects: bool,
}

impl Wanted {
    /// Which pins are asked for; `None` where it is all of them.
    pub(crate) fn selection(&self) -> Option<Selection> {
        let selection = Selection {
            min_age: Duration::from_millis(self.min_age_ms),
            suspects: self.suspects,
        };
        (selection != Selection::default()).then_some(selection)
    }
}

/// The report.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// When the agent read it, since 1970.
    pub(super) taken_unix_seconds: f64,
    pub(super) by: By,
    /// Pins outstanding, of whatever age.
    pub(super) pins: u64,
    /// The folios that they hold, and their memory, each once.
    pub(super) folios: Figure,
    pub(super) bytes: Figure,
    /// Pins that the kernel counts: acquired less released in `/proc/vmstat`.
    pub(super) kernel_pins: i64,
    /// Of those, pins that were held when the agent started, or were not seen, and are in no row.
    pub(super) preexisting_pins: u64,
    /// The census at the start, which finds those: `off`, `walking`, `entering`, `done` or `failed`.
    pub(super) census: &'static str,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) census_failed: Option<String>,
    /// What nothing explains of the difference.
    pub(super) unreconciled_pins: i64,
    /// Hooks on pins that see nothing: what goes through them is missing here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) blind: Vec<BlindHook>,
    /// Why call paths have no names and subsystems are not known, where that is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unnamed_paths: Option<String>,
    /// Calls under way that pin and sleep.
    pub(super) in_flight: InFlight,
    /// Part of the folios that the ledger keeps: 1 is every one, and then all figures are exact.
    pub(super) sampling_ratio: f64,
    pub(super) rows: Vec<Line>,
    /// Rows that were asked not to be shown, added up.
    pub(super) other: Option<Rest>,
}

/// A figure, and half the width of its 95 % confidence interval where it is an estimate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Figure {
    pub(super) value: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<u64>,
}

/// A hook that sees nothing.
#[derive(Clone, Debug, Serialize)]
pub(super) struct BlindHook {
    pub(super) hook: &'static str,
    pub(super) why: String,
    /// How long that has been so, if it was otherwise before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) seconds: Option<f64>,
}

/// Calls under way.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct InFlight {
    pub(super) calls: u64,
    pub(super) pages: u64,
    pub(super) oldest_seconds: f64,
    /// The oldest of them.
    pub(super) oldest: Vec<CallUnderWay>,
}

/// A row.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    #[serde(flatten)]
    pub(super) about: About,
    pub(super) pins: Figure,
    /// Memory of its folios; one that others hold too is divided evenly among them.
    pub(super) bytes: Figure,
    /// Its folios, those that others hold too included.
    pub(super) folios: Figure,
    /// Of the pins that were seen, those of which it is a guess that they are this row's.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) guessed_pins: u64,
    /// Of the pins that are known, those from before the agent started: who maps the memory is not
    /// sure to have pinned it.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) preexisting_pins: u64,
    /// At least so long, where there are preexisting pins.
    pub(super) oldest_seconds: f64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) suspected: Vec<Reason>,
    /// Of a process that ends: pins that it releases a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) releases_per_second: Option<u64>,
}

/// What is left.
#[derive(Debug, Serialize)]
pub(super) struct Rest {
    pub(super) rows: usize,
    pub(super) pins: u64,
    pub(super) bytes: u64,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Report {
    /// Of a snapshot; with the rows of a selection, if one was asked for.
    pub(crate) fn of(snapshot: &Snapshot, selected: Option<&Book>, wanted: &Wanted) -> Self {
        let rows = selected.unwrap_or(&snapshot.book).rows(wanted.by);
        let is_exact = snapshot.book.one_in <= 1;
        let figure = |it: Estimate| Figure {
            value: it.value.round() as u64,
            error: (!is_exact).then(|| it.error.round() as u64),
        };
        let now = snapshot.at.as_nanos() as u64;
        let line = |row: &Row| Line {
            about: row.about.clone(),
            pins: figure(row.pins),
            bytes: figure(row.bytes),
            folios: figure(row.folios),
            guessed_pins: row.guessed,
            preexisting_pins: row.preexisting,
            oldest_seconds: now.saturating_sub(row.since_ns) as f64 / 1e9,
            suspected: row.suspected.iter().copied().collect(),
            releases_per_second: (row.releases > 0.0).then(|| row.releases.ceil() as u64),
        };
        let (shown, cut) = rows.split_at(wanted.top.min(rows.len()));
        let sum = |figure: fn(&Row) -> f64| cut.iter().map(figure).sum::<f64>().round() as u64;
        Self {
            taken_unix_seconds: snapshot.at_unix.as_secs_f64(),
            by: wanted.by,
            pins: snapshot.outstanding.pins,
            folios: figure(snapshot.book.folios),
            bytes: figure(snapshot.book.bytes),
            kernel_pins: snapshot.kernel.outstanding(),
            preexisting_pins: snapshot.balance.preexisting,
            census: snapshot.found.progress.name(),
            census_failed: match &snapshot.found.progress {
                Progress::Failed(why) => Some(why.to_string()),
                _ => None,
            },
            unreconciled_pins: snapshot.balance.difference,
            blind: blind(snapshot),
            unnamed_paths: snapshot.unnamed_paths.as_deref().map(str::to_owned),
            in_flight: InFlight {
                calls: snapshot.calls.count,
                pages: snapshot.calls.pages,
                oldest_seconds: snapshot.calls.oldest_age(snapshot.at).as_secs_f64(),
                oldest: snapshot.calls.oldest.clone(),
            },
            sampling_ratio: 1.0 / snapshot.book.one_in.max(1) as f64,
            rows: shown.iter().map(line).collect(),
            other: (!cut.is_empty()).then(|| Rest {
                rows: cut.len(),
                pins: sum(|it| it.pins.value),
                bytes: sum(|it| it.bytes.value),
            }),
        }
    }
}

fn blind(snapshot: &Snapshot) -> Vec<BlindHook> {
    let is_of_pins = |hook: &&Hook| {
        hooks::hook(hook.state.name)
            .is_some_and(|it| [Feeds::Pins, Feeds::PinsReleased].contains(&it.feeds))
    };
    let hooks = snapshot.agent.hooks.iter().filter(is_of_pins);
    let blind = hooks.filter_map(|hook| {
        let name = hook.state.name;
        let (why, seconds) = match (&hook.tested, snapshot.silent.get(name)) {
            (_, Some(it)) => {
                let seconds = snapshot.at.saturating_sub(it.since).as_secs_f64();
                (it.why.to_owned(), Some(seconds))
            }
            (Tested::Failed(why), None) => (format!("it failed the self-test: {why}"), None),
            _ if hook.state.attached.is_none() && !hook.state.not_needed => (
                "it is not attached; `pinscope doctor` says why".to_owned(),
                None,
            ),
            _ => return None,
        };
        Some(BlindHook {
            hook: name,
            why,
            seconds,
        })
    });
    blind.collect()
}
