//! The unit and its settings fit the agent that they start.

use std::collections::BTreeSet;

use crate::read;

fn quoted_after<'a>(text: &'a str, before: &str) -> BTreeSet<&'a str> {
    text.match_indices(before)
        .filter_map(|(at, _)| text[at + before.len()..].split('"').next())
        .collect()
}

#[test]
fn every_setting_of_the_agent_is_in_the_environment_file_and_no_other() {
    let cli = read("agent/src/commands/cli.rs");
    let file = read("packaging/pinscope.env");
    let settings: BTreeSet<&str> = file
        .lines()
        .filter_map(|it| it.trim_start_matches('#').split_once('='))
        .map(|(name, _)| name)
        .filter(|it| it.starts_with("PINSCOPE_"))
        .collect();
    assert_eq!(settings, quoted_after(&cli, "env = \""));
}

#[test]
fn what_is_shown_as_a_default_is_the_default() {
    let cli = read("agent/src/commands/cli.rs");
    for (setting, default) in [
        ("PINSCOPE_LISTEN", "127.0.0.1:9969"),
        ("PINSCOPE_ATTACH", "auto"),
        ("PINSCOPE_LOG", "info"),
    ] {
        let declared = format!("env = \"{setting}\", default_value = \"{default}\"");
        assert!(cli.contains(&declared), "{setting} is not {default}");
    }
    let file = read("packaging/pinscope.env");
    for (setting, shift) in [("PINSCOPE_RING_BYTES", 20), ("PINSCOPE_LEDGER_FOLIOS", 18)] {
        let declared = format!("env = \"{setting}\", default_value_t = 1 << {shift}");
        assert!(cli.contains(&declared), "{setting} is not 1 << {shift}");
        let shown = format!("#{setting}={}\n", 1 << shift);
        assert!(file.contains(&shown), "pinscope.env has no {shown}");
    }
}

#[test]
fn the_unit_grants_the_capabilities_that_the_agent_asks_for_and_no_other() {
    let unit = read("packaging/pinscope.service");
    let asked = read("agent/src/kernel/facts/methods.rs");
    let asked: BTreeSet<&str> = quoted_after(&asked, ", \"CAP_");
    assert!(asked.len() > 1, "{asked:?}");
    for setting in ["AmbientCapabilities=", "CapabilityBoundingSet="] {
        let granted: BTreeSet<&str> = unit
            .lines()
            .find_map(|it| it.strip_prefix(setting))
            .unwrap_or_else(|| panic!("no {setting}"))
            .split(' ')
            .map(|it| it.trim_start_matches("CAP_"))
            .collect();
        assert_eq!(granted, asked, "{setting}");
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
