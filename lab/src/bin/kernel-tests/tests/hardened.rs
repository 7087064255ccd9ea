//! A host that hides the addresses of its kernel from everybody and hardens compiled BPF, as guides
//! to hardening advise: call paths and subsystems have names all the same.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::agent::{Agent, run_to_end};
use crate::bench::Bench;
use crate::caller::Setting;
use crate::holders::{ask, by_subsystem, until_pinned};
use crate::workload::Stepped;

/// What every system call goes through.
const SYSTEM_CALL: &str = if cfg!(target_arch = "aarch64") {
    "do_el0_svc"
} else {
    "do_syscall_64"
};

pub(super) fn where_addresses_are_hidden_from_everybody_call_paths_have_their_names(
    bench: &Bench,
) -> Result<()> {
    let _hidden = Setting::set("/proc/sys/kernel/kptr_restrict", "2")?;
    let _hardened = Setting::set("/proc/sys/net/core/bpf_jit_harden", "2")?;
    let agent = Agent::start(bench, &[])?;
    let mut workload = Stepped::start(bench, &["uring-fixed", "--pages", "64"])?;
    let pages = workload.reach("held")?.pages_pinned;
    let report = by_subsystem(bench)?;
    ensure!(
        report.pins_of("subsystem", "io_uring_buffers") == pages,
        "io_uring has {pages}: {report:?}"
    );
    let stacks = ask(bench, "stack", &[])?;
    let [row] = stacks.rows.as_slice() else {
        anyhow::bail!("one call path pins: {stacks:?}");
    };
    let frames = row.about["stack"]["frames"].as_array().context("no path")?;
    let functions: Vec<&str> = frames
        .iter()
        .filter_map(|it| it["function"].as_str())
        .collect();
    let first = functions.first().context("no function")?;
    ensure!(
        first.starts_with("io_") && functions.iter().any(|it| it.contains(SYSTEM_CALL)),
        "from io_uring to the system call: {functions:?}"
    );
    let text = run_to_end(bench, &["pins", "--by", "subsystem"], |_command| {})?;
    ensure!(!text.output.contains("not known"), "{}", text.output);
    let doctor = run_to_end(bench, &["doctor", "--format", "json"], |_command| {})?;
    let doctor: Value = serde_json::from_str(&doctor.output)?;
    let checks = doctor["checks"].as_array().context("no checks")?;
    let addresses = checks.iter().find(|it| it["name"] == "addresses");
    let found = addresses.and_then(|it| it["found"].as_str());
    ensure!(
        found.is_some_and(|it| it.contains("call paths have names all the same")),
        "{doctor}"
    );
    // Newer kernels print all of their symbols: nothing is hidden then.
    let is_printed = addresses.is_some_and(|it| it["state"] == "ok");
    let is_hidden = doctor.to_string().contains("its address is hidden");
    ensure!(is_printed != is_hidden, "{doctor}");
    workload.reach("released")?;
    workload.finish()?;
    until_pinned(bench, 0)?;
    agent.end()
}
