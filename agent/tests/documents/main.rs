//! Documents, dashboards and packaging say what the code says. Leaves out whether
//! alerts fire when they should, which `promtool` tests.

mod architecture;
mod dashboards;
mod glossary;
mod manuals;
mod names;
mod packaging;
mod pages;
mod promql;

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A path in the repository.
fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

/// A file of the repository.
fn read(name: &str) -> String {
    let path = path(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What stands between `<!-- NAME: ... -->` and `<!-- /NAME -->`.
fn marked<'a>(text: &'a str, name: &str) -> &'a str {
    let (_, rest) = text
        .split_once(&format!("<!-- {name}:"))
        .unwrap_or_else(|| panic!("no mark {name}"));
    let (_, rest) = rest.split_once("-->\n").expect("a mark ends");
    let (inside, _) = rest
        .split_once(&format!("<!-- /{name} -->"))
        .unwrap_or_else(|| panic!("no end of mark {name}"));
    inside
}
