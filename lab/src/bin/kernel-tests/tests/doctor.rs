//! The doctor: right about this kernel for whoever asks, and the same as text and as JSON.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::agent::run_to_end;
use crate::bench::Bench;
use crate::caller::{HandedOn, NOBODY, SERVICE, Setting, after_mounts, in_pid_namespace};
use crate::tests::refusals::UNREADABLE_LIST;

pub(super) fn the_doctor_tells_root_whether_the_agent_can_run(bench: &Bench) -> Result<()> {
    let report = ask(bench, |_command| {})?;
    ensure!(
        report["problem"].as_str() == bench.outlook.cannot_run.as_deref(),
        "{report}"
    );
    if bench.outlook.cannot_run.is_none() {
        for check in report["checks"].as_array().context("no checks")? {
            ensure!(check["state"] == "ok", "root is not content: {check}");
        }
    }
    Ok(())
}

pub(super) fn the_doctor_tells_nobody_what_is_missing(bench: &Bench) -> Result<()> {
    let report = ask(bench, |command| {
        command.uid(NOBODY).gid(NOBODY);
    })?;
    let problem = report["problem"].as_str().unwrap_or_default();
    ensure!(problem.contains("CAP_BPF"), "{report}");
    for (name, state) in [
        ("capabilities", "missing"),
        ("btf", "ok"),
        ("tracefs", "degraded"),
        ("addresses", "degraded"),
        ("pin counters", "degraded"),
    ] {
        ensure!(
            state_of(&report, name) == state,
            "{name} is no {state}: {report}"
        );
    }
    Ok(())
}

pub(super) fn the_doctor_tells_a_service_what_settings_keep_from_it(bench: &Bench) -> Result<()> {
    bench.needs_an_agent()?;
    let _settings = [
        Setting::set("/proc/sys/kernel/unprivileged_bpf_disabled", "2")?,
        Setting::set("/proc/sys/kernel/perf_event_paranoid", "3")?,
        Setting::set("/proc/sys/kernel/kptr_restrict", "2")?,
    ];
    let handed = HandedOn::new(SERVICE)?;
    let report = ask(bench, |command| handed.to(command))?;
    let wanted = if bench.attach == "kprobe" {
        "cannot"
    } else {
        "can"
    };
    ensure!(
        (report["can_run"] == true) == (wanted == "can"),
        "it {wanted} run: {report}"
    );
    for (name, state) in [
        ("capabilities", "ok"),
        ("fentry", "ok"),
        ("kprobe", "degraded"),
    ] {
        ensure!(
            state_of(&report, name) == state,
            "{name} is no {state}: {report}"
        );
    }
    Ok(())
}

pub(super) fn the_doctor_tells_that_tracefs_is_not_mounted(bench: &Bench) -> Result<()> {
    let hidden = "mount -t tmpfs none /sys/kernel/debug; mount -t tmpfs none /sys/kernel/tracing";
    let report = ask(bench, |command| *command = after_mounts(command, hidden))?;
    ensure!(state_of(&report, "tracefs") == "degraded", "{report}");
    ensure!(
        report["problem"].as_str() == bench.outlook.cannot_run.as_deref(),
        "{report}"
    );
    Ok(())
}

/// The hooks are those that there are with the list, unless nothing else has addresses.
pub(super) fn the_doctor_tells_that_the_list_of_functions_cannot_be_read(
    bench: &Bench,
) -> Result<()> {
    bench.needs_an_agent()?;
    let with_the_list = ask(bench, |_command| {})?;
    let report = ask(bench, |command| {
        *command = after_mounts(command, UNREADABLE_LIST);
    })?;
    ensure!(report.to_string().contains("/proc/kallsyms"), "{report}");
    if report["can_run"] == true {
        ensure!(state_of(&report, "addresses") == "ok", "{report}");
        ensure!(report["hooks"] == with_the_list["hooks"], "{report}");
    }
    Ok(())
}

/// The kernel is known by its symbol: some before 6.9 have what mends it, others have never had it.
pub(super) fn trampolines_that_may_hang_in_a_pid_namespace_are_not_used_there(
    bench: &Bench,
) -> Result<()> {
    bench.needs_an_agent()?;
    let symbols = fs::read_to_string("/proc/kallsyms")?;
    let may_hang = symbols
        .lines()
        .any(|it| it.split(' ').nth(2) == Some("tasks_rcu_exit_srcu"));
    let report = ask(bench, |command| *command = in_pid_namespace(command))?;
    let serves = state_of(&report, "fentry") == "ok";
    ensure!(
        serves != may_hang,
        "it may hang is {may_hang}, and doctor says: {report}"
    );
    if may_hang {
        ensure!(report.to_string().contains("--pid=host"), "{report}");
    }
    let arguments = [
        "run",
        "--log",
        "error",
        "--duration",
        "100ms",
        "--attach",
        "auto",
    ];
    let ended = run_to_end(bench, &arguments, |it| *it = in_pid_namespace(it))?;
    ensure!(ended.status.success(), "{}: {}", ended.status, ended.log);
    Ok(())
}

fn state_of<'a>(report: &'a Value, name: &str) -> &'a str {
    let checks = report["checks"].as_array().map_or(&[][..], Vec::as_slice);
    let check = checks.iter().find(|it| it["name"] == name);
    check
        .and_then(|it| it["state"].as_str())
        .unwrap_or("not there")
}

/// Asks for both forms, holds one against the other, and gives the JSON.
fn ask(bench: &Bench, mut last_word: impl FnMut(&mut Command)) -> Result<Value> {
    let mut doctor = |format| {
        let arguments = ["doctor", "--attach", &bench.attach, "--format", format];
        run_to_end(bench, &arguments, &mut last_word)
    };
    let (text, json) = (doctor("text")?, doctor("json")?);
    let report: Value = serde_json::from_str(&json.output)
        .with_context(|| format!("no JSON: {} {}", json.output, json.log))?;
    let code = if report["can_run"] == true { 0 } else { 2 };
    ensure!(
        text.status.code() == Some(code) && json.status.code() == Some(code),
        "{} and {} instead of {code}: {report}",
        text.status,
        json.status
    );
    let mut words = Vec::new();
    collect(&report, &mut words);
    for word in words {
        ensure!(
            text.output.contains(word),
            "the text has no `{word}`: {}",
            text.output
        );
    }
    Ok(report)
}

/// Whatever the report says in words, names of states left out.
fn collect<'a>(value: &'a Value, words: &mut Vec<&'a str>) {
    match value {
        Value::String(word) => words.push(word),
        Value::Array(all) => all.iter().for_each(|it| collect(it, words)),
        Value::Object(all) => {
            let said = all.iter().filter(|(key, _)| *key != "state");
            said.for_each(|(_, it)| collect(it, words));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
