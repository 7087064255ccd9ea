//! Switches of the host that keep probes from running: the agent refuses to start, knows it when
//! one is thrown under it, and leaves a host on which others can trace as before.

use std::fs;

use anyhow::{Context, Result, ensure};
use lab::absent::absent;
use rustix::process::Signal;

use super::refusals::{check_refused, refused_in, refused_run};
use crate::agent::{Agent, run_to_end};
use crate::bench::Bench;
use crate::caller::{Setting, after};
use crate::tracing::others_can_trace;
use crate::wait::Look;

const FTRACE: &str = "/proc/sys/kernel/ftrace_enabled";
const JIT: &str = "/proc/sys/net/core/bpf_jit_enable";
/// `CONFIG_KPROBES_ON_FTRACE`, which arm64 has not: there they serve while function tracing is off.
const KPROBES_ARE_FTRACES: bool = cfg!(target_arch = "x86_64");
const NO_SWITCH: &str = "this kernel refuses to switch function tracing off";

pub(super) fn function_tracing_switched_off_is_refused_before_anything_is_attached(
    bench: &Bench,
) -> Result<()> {
    bench.end_shared()?;
    let Ok(Some(off)) = Setting::set(FTRACE, "0") else {
        return Err(absent(NO_SWITCH));
    };
    let way: &[&str] = if KPROBES_ARE_FTRACES {
        &[]
    } else {
        &["--attach", "fentry"]
    };
    check_refused(
        &refused_run(bench, way, |_command| {})?,
        "sysctl kernel.ftrace_enabled=1",
    )?;
    if KPROBES_ARE_FTRACES {
        check_doctor(bench, "kernel.ftrace_enabled is 0")?;
    } else if bench.attach != "fentry" {
        let ended = Agent::start(bench, &[])?.end_by(Signal::TERM)?;
        ensure!(ended.status.success(), "{}: {}", ended.status, ended.log);
    }
    drop(off);
    others_can_trace()
}

/// The kernel gives function tracing up, until the next boot, when what was detached meanwhile is
/// found later.
pub(super) fn function_tracing_switched_off_under_it_is_told_and_survives_its_end(
    bench: &Bench,
) -> Result<()> {
    let agent = Agent::start(bench, &[])?;
    let silent = |wanted: fn(f64) -> bool| until_silent(&agent, wanted);
    if fs::write(FTRACE, "0").is_err() {
        agent.end()?;
        return Err(absent(NO_SWITCH));
    }
    let told = silent(|it| it > 0.0).and_then(|()| {
        fs::write(FTRACE, "1")?;
        silent(|it| it == 0.0)?;
        fs::write(FTRACE, "0")?;
        Ok(())
    });
    told?;
    let ended = agent.end_by(Signal::TERM)?;
    let left = fs::read_to_string(FTRACE)?;
    fs::write(FTRACE, "1")?;
    ensure!(
        ended.status.success(),
        "it ended with {}: {}",
        ended.status,
        ended.log
    );
    ensure!(left.trim() == "0", "the setting is {left} after it");
    others_can_trace()
}

pub(super) fn kprobes_switched_off_under_it_are_told(bench: &Bench) -> Result<()> {
    let agent = Agent::start(bench, &["--attach", "kprobe"])?;
    let off = Setting::set("/sys/kernel/debug/kprobes/enabled", "0")?
        .context("debugfs has no switch of kprobes")?;
    until_silent(&agent, |it| it > 0.0)?;
    drop(off);
    until_silent(&agent, |it| it == 0.0)?;
    agent.end()
}

fn until_silent(agent: &Agent, wanted: fn(f64) -> bool) -> Result<()> {
    agent.scrape_until("what it says of silent hooks", |now| {
        let silent = now
            .number("pinscope_hooks_silent")
            .context("no such metric")?;
        Ok(if wanted(silent) {
            Look::Done(())
        } else {
            Look::NotYet(format!("{silent} are silent"))
        })
    })
}

pub(super) fn a_kernel_that_interprets_bpf_is_refused_with_the_switch(bench: &Bench) -> Result<()> {
    bench.end_shared()?;
    let Some(_off) = Setting::set(JIT, "0").ok().flatten() else {
        return Err(absent("this kernel always compiles BPF"));
    };
    check_refused(
        &refused_run(bench, &[], |_command| {})?,
        "sysctl net.core.bpf_jit_enable=1",
    )?;
    check_doctor(bench, "net.core.bpf_jit_enable is 0")
}

/// The soft limit is the agent's to raise, the hard one is the operator's.
pub(super) fn a_limit_on_open_files_is_raised_or_named(bench: &Bench) -> Result<()> {
    bench.end_shared()?;
    let ended = refused_in(bench, "ulimit -n 64", &[])?;
    check_refused(&ended, "LimitNOFILE=")?;
    let agent = Agent::start_by(bench, &[], |command| {
        *command = after(command, "ulimit -Sn 64");
    })?;
    let files = fs::read_dir(format!("/proc/{}/fd", agent.pid()))?.count();
    ensure!(files > 64, "it has {files} files open, which is no test");
    agent.end()
}

fn check_doctor(bench: &Bench, problem: &str) -> Result<()> {
    let ended = run_to_end(bench, &["doctor"], |_command| {})?;
    ensure!(
        ended.status.code() == Some(2) && ended.output.contains(problem),
        "doctor ended with {} and said: {}",
        ended.status,
        ended.output
    );
    Ok(())
}
