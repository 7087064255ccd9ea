//! The map of the code shows every module, and nothing that is not there.

use std::{collections::BTreeSet, fs, path::Path};

use crate::{CRATES, path, read};

/// Those whose rooms are folders, with a file to an idea in them.
const WITH_ROOMS: [&str; 2] = ["agent", "probe-ebpf"];

/// Modules right below a crate's root; those in a room too.
fn modules(krate: &str) -> BTreeSet<String> {
    let mut modules = within(&path(krate).join("src"));
    if WITH_ROOMS.contains(&krate) {
        for room in modules.clone() {
            let inside = within(&path(krate).join("src").join(&room));
            modules.extend(inside.iter().map(|it| format!("{room}/{it}")));
        }
    }
    modules
}

/// Modules of a folder, none if it is not there; a file and the folder of its name are one.
fn within(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|it| it.file_name().into_string().ok())
        .map(|it| it.trim_end_matches(".rs").to_owned())
        .filter(|it| !["main", "lib"].contains(&it.as_str()))
        .collect()
}

/// Of the section `### CRATE`: the names in code at the head of each row.
fn on_the_map(map: &str, krate: &str) -> BTreeSet<String> {
    let heading = format!("\n### `{krate}`");
    let (_, section) = map
        .split_once(&heading)
        .unwrap_or_else(|| panic!("no section of {krate}"));
    let section = section.split("\n#").next().unwrap_or_default();
    section
        .lines()
        .filter_map(|it| it.strip_prefix("| ")?.split(" | ").next())
        .flat_map(|cell| cell.split(", "))
        .filter_map(|it| it.strip_prefix('`')?.strip_suffix('`'))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_module_is_on_the_map_and_every_module_on_the_map_exists() {
    let map = read("ARCHITECTURE.md");
    for krate in CRATES {
        assert_eq!(on_the_map(&map, krate), modules(krate), "{krate}");
    }
}

#[test]
fn every_dependency_is_explained() {
    let map = read("ARCHITECTURE.md");
    let (_, section) = map
        .split_once("\n### Dependencies")
        .expect("a section of dependencies");
    let rows = section.lines().filter_map(|it| it.strip_prefix("| "));
    let explained: BTreeSet<&str> = rows
        .filter_map(|it| it.split(" | ").next())
        .flat_map(|it| it.split(", "))
        .filter_map(|it| it.split(' ').next())
        .collect();
    let manifest = read("Cargo.toml");
    let (_, dependencies) = manifest
        .split_once("\n[workspace.dependencies]\n")
        .expect("the workspace has dependencies");
    let ours = |line: &&str| line.contains("path = ");
    let lines = dependencies.lines().take_while(|it| !it.starts_with('['));
    let foreign = lines.filter(|it| !ours(it));
    for name in foreign.filter_map(|it| it.split_once(" = ")).map(|it| it.0) {
        assert!(explained.contains(name), "{name} is not explained");
    }
}
