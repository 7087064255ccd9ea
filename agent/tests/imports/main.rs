//! The order of the house: who may import whom, and nobody in a circle.

mod source;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use source::{Imports, Module, imports};

/// The agent's rooms, from the top down. Those of a floor do not know each other; `error` is the
/// ground, and the crates `hooks`, `verdicts`, `estimator` and `probe-abi` lie below it.
const FLOORS: &[&[&str]] = &[
    &["commands"],
    &["views"],
    &["collect"],
    &["census"],
    &["owners", "selftest"],
    &["kernel"],
    &["error"],
];

fn root(krate: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(krate)
        .join("src");
    [source.join("lib.rs"), source.join("main.rs")]
        .into_iter()
        .find(|it| it.exists())
        .unwrap_or_else(|| panic!("{krate} has no root"))
}

fn floor(module: &str) -> Option<usize> {
    let room = module.split('/').next()?;
    FLOORS.iter().position(|it| it.contains(&room))
}

/// Sets of modules each of which leads to every other one.
fn circles(imports: &Imports) -> BTreeSet<Vec<Module>> {
    let reach = |from: &Module| {
        let mut seen = BTreeSet::new();
        let mut ahead: Vec<&Module> = imports[from].iter().collect();
        while let Some(module) = ahead.pop() {
            if seen.insert(module.clone()) {
                ahead.extend(&imports[module]);
            }
        }
        seen
    };
    let circle = |module: &Module| -> Vec<Module> {
        let members = reach(module).into_iter();
        members.filter(|it| reach(it).contains(module)).collect()
    };
    let all = imports.keys().map(circle);
    all.filter(|it| !it.is_empty()).collect()
}

#[test]
fn every_room_of_the_agent_has_its_floor() {
    let imports = imports(&root("agent"));
    assert!(imports.len() > 60, "{} modules", imports.len());
    for module in imports.keys().filter(|it| !it.is_empty()) {
        assert!(floor(module).is_some(), "{module} is in no room");
    }
}

#[test]
fn nothing_in_the_agent_imports_from_above_or_beside() {
    let mut found = Vec::new();
    for (module, imported) in &imports(&root("agent")) {
        let Some(here) = floor(module) else { continue };
        for it in imported {
            let room = |module: &str| module.split('/').next().map(str::to_owned);
            let is_below = floor(it).is_some_and(|there| there > here);
            if !is_below && room(it) != room(module) {
                found.push((module.clone(), it.clone()));
            }
        }
    }
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn no_module_leads_back_to_itself() {
    for krate in ["agent", "hooks", "verdicts", "estimator", "probe-ebpf"] {
        let circles = circles(&imports(&root(krate)));
        assert!(circles.is_empty(), "{krate}: {circles:?}");
    }
}
