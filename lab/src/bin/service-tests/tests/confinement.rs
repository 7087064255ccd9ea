//! What the service may do on the host: little.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::service::{UNIT, running};
use crate::systemd::{property, run};

/// On systemd's scale from 0 to 10. Of it 0.9 are for the network, which only a socket that systemd
/// hands over would do without.
const MOST_EXPOSED: f32 = 2.0;

/// Numbers of the kernel's capabilities.
const CAPABILITIES: [(&str, u32); 4] = [
    ("cap_sys_resource", 24),
    ("cap_syslog", 34),
    ("cap_perfmon", 38),
    ("cap_bpf", 39),
];

pub(super) fn systemd_understands_every_line_of_its_unit() -> Result<()> {
    let output = Command::new("systemd-analyze")
        .args(["verify", "--man=no", UNIT])
        .output()?;
    let said = [output.stdout, output.stderr].concat();
    ensure!(
        output.status.success() && said.is_empty(),
        "systemd-analyze verify: {}",
        String::from_utf8_lossy(&said)
    );
    Ok(())
}

pub(super) fn its_exposure_is_low() -> Result<()> {
    let text = run("systemd-analyze", &["security", "--no-pager", UNIT])?;
    let line = text
        .lines()
        .find(|line| line.contains("Overall exposure level"))
        .context("systemd-analyze names no level")?;
    let level = line.split(": ").nth(1).unwrap_or_default();
    let level: f32 = level.split(' ').next().unwrap_or_default().parse()?;
    println!("note exposure {level}");
    let open: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix('✗')?.split_whitespace().next())
        .collect();
    ensure!(
        level <= MOST_EXPOSED,
        "its exposure is {level}: {}",
        open.join(" ")
    );
    Ok(())
}

pub(super) fn it_has_the_capabilities_that_its_unit_names_and_no_other() -> Result<()> {
    let pid = running()?;
    let named = property(UNIT, "CapabilityBoundingSet")?;
    let allowed = named.split_whitespace().try_fold(0, |set, name| {
        let (_, number) = CAPABILITIES
            .iter()
            .find(|(known, _)| *known == name)
            .with_context(|| format!("the unit names {name}"))?;
        Ok::<u64, anyhow::Error>(set | 1 << number)
    })?;
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        let held = u64::from_str_radix(&status(pid, set)?, 16)?;
        println!("note {set} {held:#x}");
        ensure!(
            held & !allowed == 0,
            "{set} is {held:#x}, of which the unit allows {allowed:#x}"
        );
    }
    Ok(())
}

pub(super) fn it_runs_as_nobody_in_particular_and_can_gain_nothing() -> Result<()> {
    let pid = running()?;
    let user = status(pid, "Uid")?;
    ensure!(!user.starts_with("0\t"), "it runs as root: {user}");
    for (field, wanted) in [("NoNewPrivs", "1"), ("Seccomp", "2")] {
        let found = status(pid, field)?;
        ensure!(found == wanted, "{field} is {found}, not {wanted}");
    }
    Ok(())
}

/// A field of `/proc/PID/status`.
fn status(pid: u32, field: &str) -> Result<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    Ok(value
        .with_context(|| format!("no {field}"))?
        .trim()
        .to_owned())
}
