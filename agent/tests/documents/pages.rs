//! Pages of documents that are made from the code, or list what it has.

use std::{env, fs};

use crate::{
    marked,
    names::{names, printed},
    path, read,
};

#[test]
fn the_page_of_metrics_is_what_the_agent_prints() {
    let wanted = printed("metrics");
    let path = path("docs/metrics.md");
    if env::var_os("PINSCOPE_WRITE_DOCS").is_some() {
        fs::write(&path, &wanted).expect("the page can be written");
    }
    assert!(
        fs::read_to_string(&path).ok().as_deref() == Some(wanted.as_str()),
        "docs/metrics.md is not what the agent prints: \
         PINSCOPE_WRITE_DOCS=1 cargo test -p pinscope --test documents"
    );
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
