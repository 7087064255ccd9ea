//! Owners that are not what they were, or that cannot be looked at: their pins stay their own, and who
//! lives is never said to have ended.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::agent::{Agent, run_to_end};
use crate::bench::Bench;
use crate::caller::{HandedOn, SERVICE, Setting};
use crate::census::Census;
use crate::holders::{Report, ask, check_sums, until_pinned};
use crate::wait::Look;
use crate::workload::Stepped;

/// Pages that each of them pins.
const PAGES: i64 = 32;

pub(super) fn who_execs_renames_itself_or_loses_its_first_thread_is_alive_and_keeps_its_row(
    bench: &Bench,
) -> Result<()> {
    let _agent = bench.shared_agent(&[])?;
    let mut changed = Vec::new();
    for (how, name) in [
        ("exec", "sh"),
        ("rename", "renamed"),
        ("bytes", r#"\xff\x1b[31m"\\\x0a\xd0"#),
        ("thread", "workload"),
    ] {
        let pages = PAGES.to_string();
        let mut workload = Stepped::start(bench, &["changed", how, "--pages", &pages])?;
        workload.reach("held")?;
        workload.reach("changed")?;
        changed.push((how, name, workload));
    }
    let total = PAGES * changed.len() as i64;
    check_sums(bench, total, "with owners that have changed")?;
    let report = ask(bench, "process", &[])?;
    for (how, name, workload) in &changed {
        let [row] = report.of_pid(workload.pid())[..] else {
            anyhow::bail!("one row for {} ({how}): {report:?}", workload.pid());
        };
        let process = &row.about["process"];
        ensure!(
            row.pins.value == PAGES
                && row.guessed_pins == 0
                && process["comm"] == *name
                && process["life"] == "alive",
            "{} ({how}) is {name} with {PAGES} pages: {row:?}",
            workload.pid()
        );
    }
    let text = run_to_end(bench, &["pins", "--by", "process"], |_command| {})?;
    ensure!(
        !text
            .output
            .contains(|it: char| it.is_control() && it != '\n'),
        "a name steers the terminal: {:?}",
        text.output
    );
    // Where the first thread has ended, others show what the process has mapped. Who execs maps it no more.
    let census = Census::take(bench, &[])?;
    for (how, _, workload) in changed.iter().filter(|it| it.0 != "exec") {
        let row = census.of_pid(workload.pid());
        let row = row.with_context(|| format!("no row for {how}: {census:?}"))?;
        let likely = row.processes[0].likely.as_deref().unwrap_or_default();
        ensure!(
            row.pins.cast_signed() == PAGES && likely == ["io_uring_buffers"],
            "{how}: {row:?}"
        );
    }
    for (_, _, workload) in changed {
        workload.finish()?;
    }
    until_pinned(bench, 0)
}

/// The agent with what a service may, and kprobes open to it while the setting lives.
pub(super) fn as_service(bench: &Bench, socket: &str) -> Result<(Agent, Option<Setting>)> {
    // Maps of old kernels are charged to it, and root is not held to it.
    let unlimited = Rlimit {
        current: None,
        maximum: None,
    };
    setrlimit(Resource::Memlock, unlimited)?;
    let open = Setting::set("/proc/sys/kernel/perf_event_paranoid", "2")?;
    let handed = HandedOn::new(SERVICE)?;
    let agent = Agent::start_by(bench, &["--socket", socket], |it| handed.to(it))?;
    Ok((agent, open))
}

/// The agent runs as a service does, and `/proc` shows it no process but its own.
pub(super) fn an_owner_that_proc_hides_is_never_said_to_have_ended(bench: &Bench) -> Result<()> {
    let hidden = Hidden::mount()?;
    let socket = std::env::temp_dir().join("kernel-tests-service.sock");
    let socket = socket.to_str().context("a path of another alphabet")?;
    let (agent, _open) = as_service(bench, socket)?;
    let pages = PAGES.to_string();
    let mut workload = Stepped::start(bench, &["uring-fixed", "--pages", &pages])?;
    workload.reach("held")?;
    let pid = workload.pid();
    let begun = agent.taken()?;
    // For longer than it takes until somebody dead is suspected.
    agent.scrape_until("some seconds with an owner that is hidden", |now| {
        let suspects = now.sum("pinscope_leak_suspects")?;
        ensure!(suspects == 0, "{}", now.show("pinscope_leak_suspects"));
        let report = ask(bench, "process", &["--socket", socket])?;
        check_not_ended(&report, pid)?;
        let taken = agent.taken()?;
        Ok(if taken >= begun + 6.0 {
            Look::Done(())
        } else {
            Look::NotYet(format!("{begun} to {taken}"))
        })
    })?;
    workload.reach("released")?;
    workload.finish()?;
    agent.end()?;
    drop(hidden);
    Ok(())
}

fn check_not_ended(report: &Report, pid: u32) -> Result<()> {
    let [row] = report.of_pid(pid)[..] else {
        anyhow::bail!("one row for {pid}: {report:?}");
    };
    let life = row.about["process"]["life"].as_str().unwrap_or_default();
    ensure!(
        row.pins.value == PAGES && ["alive", "unknown"].contains(&life),
        "{pid} holds {PAGES} pages and lives: {row:?}"
    );
    Ok(())
}

/// While it lives, `/proc` shows nobody without privileges what is not theirs.
struct Hidden;

impl Hidden {
    fn mount() -> Result<Self> {
        remount("hidepid=2")?;
        Ok(Self)
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // The guest's other tests would tell.
        let _tests_tell = remount("hidepid=0");
    }
}

fn remount(option: &str) -> Result<()> {
    let options = format!("remount,{option}");
    let status = Command::new("mount")
        .args(["-o", &options, "/proc"])
        .status()
        .context("mount cannot be started")?;
    ensure!(status.success(), "/proc cannot be mounted with {option}");
    Ok(())
}
