//! The unit and its settings fit the agent that they start.

use std::collections::BTreeMap;

use crate::{names::names, read};

/// Of `pinscope run`: variable and default, which is nothing where there is none.
fn settings() -> BTreeMap<&'static str, &'static str> {
    let run = names().commands.iter().find(|it| it.name == "run");
    let options = run.expect("it runs").options.iter();
    options
        .filter_map(|it| Some((it.variable.as_deref()?, it.default.as_deref().unwrap_or(""))))
        .collect()
}

#[test]
fn the_environment_file_has_every_setting_with_its_default_and_no_other() {
    let file = read("packaging/pinscope.env");
    let shown: BTreeMap<&str, &str> = file
        .lines()
        .filter_map(|it| it.strip_prefix('#')?.split_once('='))
        .filter(|(name, _)| name.starts_with("PINSCOPE_"))
        .collect();
    assert_eq!(shown, settings());
}

#[test]
fn every_option_that_a_page_names_exists() {
    let known: Vec<&str> = names()
        .commands
        .iter()
        .flat_map(|it| &it.options)
        .filter_map(|it| it.option.as_deref())
        .collect();
    for page in ["README.md", "docs/operating.md", "docs/limits.md"] {
        let text = read(page);
        let ours = text.split('`').filter(|it| it.starts_with("pinscope "));
        for option in ours.flat_map(|it| it.split(' ').filter(|it| it.starts_with("--"))) {
            assert!(known.contains(&option), "{page}: {option}");
        }
    }
}

#[test]
fn the_unit_grants_the_capabilities_that_the_agent_asks_for_and_no_other() {
    let unit = read("packaging/pinscope.service");
    for setting in ["AmbientCapabilities=", "CapabilityBoundingSet="] {
        let granted: Vec<&str> = unit
            .lines()
            .find_map(|it| it.strip_prefix(setting))
            .unwrap_or_else(|| panic!("no {setting}"))
            .split(' ')
            .collect();
        assert_eq!(granted, names().capabilities, "{setting}");
    }
}

#[test]
fn the_unit_hides_nothing_that_the_agent_reads() {
    let unit = read("packaging/pinscope.service");
    for line in unit.lines().filter(|it| !it.starts_with('#')) {
        for hiding in [
            "ProtectKernelTunables=yes",
            "ProtectKernelLogs=yes",
            "ProcSubset=pid",
            "PrivateUsers=yes",
        ] {
            assert_ne!(line, hiding);
        }
    }
}
