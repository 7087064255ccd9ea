//! What tests of views are made from.

use std::collections::BTreeSet;

use super::{
    Estimate,
    book::{About, Cgroup, Row},
};

/// A row of a cgroup that holds so much memory, a folio of each page.
pub(crate) fn row_of_cgroup(id: u64, path: Option<&str>, bytes: u64) -> Row {
    let exact = |value: u64| Estimate {
        value: value as f64,
        error: 0.0,
    };
    Row {
        about: About::Cgroup(Cgroup {
            path: path.map(str::to_owned),
            id,
            hierarchy: Some(0),
            container: None,
        }),
        pins: exact(bytes / 4096),
        bytes: exact(bytes),
        folios: exact(bytes / 4096),
        preexisting: 0,
        guessed: 0,
        since_ns: 0,
        suspected: BTreeSet::new(),
        releases: 0.0,
    }
}
