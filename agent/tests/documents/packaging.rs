//! The unit and its settings fit the agent that they start.

use crate::{
    check_made,
    names::{names, printed},
    read,
};

/// With every setting there is, its default, and a line of help.
#[test]
fn the_configuration_file_that_is_shipped_is_made_from_the_command_line() {
    check_made("packaging/pinscope.toml", &printed("config"));
}

#[test]
fn every_option_that_a_page_names_exists() {
    let known: Vec<&str> = names()
        .commands
        .iter()
        .flat_map(|it| &it.options)
        .map(String::as_str)
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
