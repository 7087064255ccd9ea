//! Each case of the field that is done names tests that exist.

use std::{fs, path::Path};

use crate::{path, read};

/// Names in code in the last column of the table of what is done.
fn tests(page: &str) -> Vec<&str> {
    let (_, done) = page.split_once("\n## Done\n").expect("what is done");
    let (done, _) = done.split_once("\n## Not done\n").expect("what is not");
    let rows = done.lines().filter(|it| it.starts_with("| **"));
    let last = rows.filter_map(|it| it.trim_end_matches(" |").rsplit(" | ").next());
    last.flat_map(|it| it.split('`').skip(1).step_by(2))
        .collect()
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
fn every_test_that_stands_beside_a_case_exists() {
    let page = read("docs/field-cases.md");
    let mut text = String::new();
    for krate in ["agent", "lab", "hooks", "estimator"] {
        for folder in ["src", "tests"] {
            sources(&path(krate).join(folder), &mut text);
        }
    }
    let named = tests(&page);
    assert!(named.len() > 10, "{named:?}");
    for test in named {
        assert!(text.contains(&format!("fn {test}(")), "no test {test}");
    }
}
