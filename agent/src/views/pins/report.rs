//! The report as data. Leaves out how its rows come about.

use serde::{Deserialize, Serialize};

use super::rows::{Filter, Row, one_in, rows};
use crate::{collect::State, error::AgentError, kernel::sys::page_bytes, owners::By};

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

impl Wanted {
    fn filter(&self) -> Filter {
        Filter {
            by: self.by,
            older_ms: self.older_ms,
            suspects: self.suspects,
        }
    }
}

/// The report.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(super) by: By,
    /// Pages pinned and not released, of whatever age.
    pub(super) pinned_pages: u64,
    pub(super) pinned_bytes: u64,
    /// The kernel's own count of pins since the agent started: acquired less
    /// released in `/proc/vmstat`.
    pub(super) vmstat_pages: i64,
    /// Pages that were pinned before, and are not known to be released.
    pub(super) pinned_before_start_pages: u64,
    /// One folio in so many is in the ledger: 1 is every one, and then the rows
    /// are exact.
    pub(super) sampled_one_in: u64,
    pub(super) rows: Vec<Row>,
    /// Rows that were asked not to be shown, added up.
    pub(super) other: Option<Rest>,
}

/// What is left.
#[derive(Debug, Serialize)]
pub(crate) struct Rest {
    pub(crate) rows: usize,
    pub(crate) pages: u64,
    pub(crate) bytes: u64,
}

impl Report {
    /// Makes it from what the agent knows now.
    pub(crate) fn of(state: &mut State, wanted: &Wanted) -> Result<Self, AgentError> {
        let snapshot = state.snapshot()?;
        let owners = &mut state.owners;
        let total = snapshot.outstanding.pinned_pages;
        let rows = rows(owners, wanted.filter(), total);
        let (rows, other) = cut(rows, wanted.top);
        Ok(Self {
            by: wanted.by,
            pinned_pages: total,
            pinned_bytes: total * page_bytes(),
            vmstat_pages: snapshot.vmstat_pages,
            pinned_before_start_pages: snapshot.from_before,
            sampled_one_in: one_in(owners),
            rows,
            other,
        })
    }
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
