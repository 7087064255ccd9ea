//! The README's tables are those of the code.

use probe_abi::Lost;

use crate::{marked, metrics, read};

#[test]
fn the_table_of_metrics_is_made_from_the_code() {
    let mut wanted =
        String::from("| metric | kind | labels | meaning |\n| --- | --- | --- | --- |\n");
    for metric in metrics::declared() {
        let labels: Vec<String> = metric.labels.iter().map(|it| format!("`{it}`")).collect();
        wanted += &format!(
            "| `{}` | {} | {} | {} |\n",
            metric.name,
            metric.kind,
            labels.join(", "),
            // An asterisk would begin emphasis.
            metric.help.replace('*', "\\*").replace('|', "\\|")
        );
    }
    let readme = read("README.md");
    let found = marked(&readme, "metrics");
    assert!(
        found == wanted,
        "README.md should have, between the marks of the metrics:\n{wanted}"
    );
}

#[test]
fn every_cause_of_loss_is_explained_once_and_in_order() {
    let readme = read("README.md");
    let explained: Vec<&str> = marked(&readme, "losses")
        .lines()
        .filter_map(|it| it.strip_prefix("| `")?.split('`').next())
        .collect();
    assert_eq!(explained, Lost::NAMES);
}

#[test]
fn the_kernels_that_are_named_as_tested_are_tested() {
    let readme = read("README.md");
    let test = read("xtask/src/test.rs");
    let list = test
        .lines()
        .find(|it| it.contains("const KERNELS"))
        .and_then(|it| it.split_once("= ["))
        .and_then(|(_, it)| it.split_once(']'))
        .map(|(it, _)| it.replace('"', ""))
        .expect("xtask names the kernels");
    let named: Vec<&str> = list.split(", ").collect();
    let (last, others) = named.split_last().expect("at least one");
    let sentence = format!("stock {} and {last}", others.join(", "));
    assert!(
        readme.contains(&sentence),
        "README.md does not say `{sentence}`"
    );
}
