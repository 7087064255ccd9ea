//! Pages of documents that are made from the code, or list what it has.

use crate::{
    check_made, marked,
    names::{names, printed},
    read,
};

#[test]
fn the_page_of_metrics_is_what_the_agent_prints() {
    check_made("docs/metrics.md", &printed("metrics"));
}

#[test]
fn every_cause_of_loss_is_explained_once_and_in_order() {
    let page = read("docs/operating.md");
    assert_eq!(explained(marked(&page, "losses")), names().losses);
}

#[test]
fn every_reason_for_doubt_is_explained_once_and_in_order() {
    let page = read("docs/operating.md");
    assert_eq!(explained(marked(&page, "doubts")), names().doubts);
}

/// What the rows of a table begin with.
fn explained(table: &str) -> Vec<&str> {
    let rows = table.lines();
    rows.filter_map(|it| it.strip_prefix("| `")?.split('`').next())
        .collect()
}
