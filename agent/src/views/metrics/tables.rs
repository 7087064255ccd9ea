//! All metrics: the tables, in the order in which they are shown.

use super::{agent, estimators, family::Metric, owners, totals};

/// The tables, in the order in which they are shown, and what each is about.
pub(super) const TABLES: [(&str, &[Metric]); 5] = [
    ("Pins and walks", totals::PINS),
    ("The kernel's own counts", totals::KERNEL),
    ("Who holds pins, and the ledger", owners::OWNERS),
    ("Estimators", estimators::ESTIMATORS),
    ("The agent itself", agent::AGENT),
];

/// All metrics.
pub(super) fn all() -> impl Iterator<Item = &'static Metric> {
    TABLES.into_iter().flat_map(|(_, table)| table)
}
