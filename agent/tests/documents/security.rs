//! SECURITY.md names tests that there are. Leaves out whether they show what it says.

use std::{collections::BTreeSet, fs, path::Path};

use crate::{CRATES, path, read};

/// The tests that its tables name, in the last column of each row.
fn named(page: &str) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    let mut is_of_tests = false;
    for line in page.lines() {
        let Some(row) = line.strip_prefix("| ") else {
            is_of_tests = false;
            continue;
        };
        let cell = row.trim_end_matches(" |").rsplit(" | ").next();
        let cell = cell.unwrap_or_default();
        if cell == "tests" {
            is_of_tests = true;
        } else if is_of_tests && !cell.starts_with("---") {
            let names: Vec<_> = cell.split('`').skip(1).step_by(2).collect();
            assert!(!names.is_empty(), "no test: {line}");
            named.extend(names.into_iter().map(str::to_owned));
        }
    }
    named
}

/// The text of every file of source below a folder.
fn source(folder: &Path, found: &mut String) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            source(&path, found);
        } else if path.extension().is_some_and(|it| it == "rs") {
            *found += &fs::read_to_string(&path).expect("a file of text");
        }
    }
}

#[test]
fn every_test_that_the_threat_model_names_exists() {
    let named = named(&read("SECURITY.md"));
    assert!(named.len() > 30, "{named:?}");
    let mut sources = String::new();
    CRATES.iter().for_each(|it| source(&path(it), &mut sources));
    for name in named {
        let is_there = sources.contains(&format!("fn {name}("));
        assert!(is_there, "no test is called {name}");
    }
}
