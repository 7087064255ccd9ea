//! Each case of the field that is done names tests that exist, and each that is not gives the reason.

use std::{fs, path::Path};

use crate::{CRATES, path, read};

/// Says that the row above has the tests of this one, too.
const THE_SAME: &str = "the same";

/// Cells of each row below a heading.
fn rows<'a>(page: &'a str, heading: &str) -> Vec<Vec<&'a str>> {
    let heading = format!("\n## {heading}\n");
    let (_, section) = page.split_once(&heading).expect("the heading");
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter_map(|it| it.strip_prefix("| **"));
    let rows = rows.map(|it| it.trim_end_matches(" |").split(" | ").collect());
    rows.collect()
}

/// Names in code.
fn named(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// All Rust that a test may be in.
fn all_sources() -> String {
    let mut text = String::new();
    CRATES.iter().for_each(|it| sources(&path(it), &mut text));
    text
}

/// All Rust below a folder, in one text.
fn sources(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|it| it == "rs") {
            *text += &fs::read_to_string(&path).unwrap_or_default();
        }
    }
}

#[test]
fn every_case_that_is_done_has_a_test_that_exists() {
    let (page, text) = (read("docs/field-cases.md"), all_sources());
    let done = rows(&page, "Done");
    assert!(done.len() > 20, "{done:?}");
    for (at, row) in done.iter().enumerate() {
        let [case, reported, shown, tests] = row[..] else {
            panic!("not four cells: {row:?}");
        };
        assert!(!reported.is_empty() && !shown.is_empty(), "{case}");
        let named = named(tests);
        assert!(
            !named.is_empty() || at > 0 && tests == THE_SAME,
            "no test: {case}"
        );
        for test in named {
            assert!(
                text.contains(&format!("fn {test}(")),
                "no test {test}: {case}"
            );
        }
    }
}

#[test]
fn every_case_that_is_not_done_has_a_reason() {
    let (page, text) = (read("docs/field-cases.md"), all_sources());
    let open = rows(&page, "Not done");
    assert!(!open.is_empty());
    for row in open {
        let [case, _reported, shown, why] = row[..] else {
            panic!("not four cells: {row:?}");
        };
        assert!(!shown.is_empty() && why.len() > 20, "no reason: {case}");
        // What is held by a test all the same; the names of metrics and of the kernel are shorter.
        for test in named(shown).into_iter().chain(named(why)) {
            let is_sentence = test.matches('_').count() > 3 && !test.starts_with("pinscope_");
            assert!(
                !is_sentence || text.contains(&format!("fn {test}(")),
                "no test {test}: {case}"
            );
        }
    }
}
