//! Switches that keep probes from running. Those of the host nothing of the service may write: it
//! refuses to start, and it waits with its end. And its own.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use anyhow::{Context, Result, ensure};
use lab::absent::absent;

use super::lifecycle::check_ended_cleanly;
use crate::metrics::Metrics;
use crate::programs;
use crate::service::{ADDRESS, PATIENCE, UNIT, main_pid, running, scrape, with_setting};
use crate::systemd::{journal, property, systemctl};
use crate::tracing::others_can_trace;
use crate::wait::{Look, until};

const FTRACE: &str = "/proc/sys/kernel/ftrace_enabled";
const OFF: &str = "/etc/pinscope.off";
const JIT: &str = "/proc/sys/net/core/bpf_jit_enable";

/// A complaint comes every ten seconds: with the second one its time is up by far.
const LESS_PATIENCE: &str = "TimeoutStopSec=5s";

pub(super) fn function_tracing_switched_off_keeps_it_from_starting() -> Result<()> {
    let off = Off::switch(FTRACE)?;
    check_refused("sysctl kernel.ftrace_enabled=1")?;
    off.on()
}

pub(super) fn a_kernel_that_interprets_bpf_keeps_it_from_starting() -> Result<()> {
    let off = Off::switch(JIT)?;
    check_refused("sysctl net.core.bpf_jit_enable=1")?;
    off.on()
}

/// To detach meanwhile would end function tracing on this host until it boots again.
pub(super) fn while_function_tracing_is_off_it_waits_with_its_end_and_is_not_killed() -> Result<()>
{
    running()?;
    with_setting(LESS_PATIENCE, stop_while_off)?;
    check_ended_cleanly()?;
    others_can_trace()
}

fn stop_while_off() -> Result<()> {
    let off = Off::switch(FTRACE)?;
    systemctl(&["stop", "--no-block", UNIT])?;
    until("its second complaint", PATIENCE, || {
        let state = property(UNIT, "ActiveState")?;
        let log = journal(UNIT)?;
        ensure!(state == "deactivating", "it is {state}: {log}");
        Ok(
            match log.matches("sysctl kernel.ftrace_enabled=1").count() {
                2.. => Look::Done(()),
                times => Look::NotYet(format!("it has complained {times} times: {log}")),
            },
        )
    })?;
    off.on()?;
    until("its end", PATIENCE, || {
        let state = property(UNIT, "ActiveState")?;
        Ok(if state == "deactivating" {
            Look::NotYet(format!("it is {state}"))
        } else {
            Look::Done(())
        })
    })
}

/// The operator's own switch: nothing of the agent is in the kernel, and everybody who asks is told.
pub(super) fn a_file_switches_it_off_over_restarts_until_it_is_removed() -> Result<()> {
    let pid = running()?;
    ensure!(!programs::tracing()?.is_empty(), "it traces with nothing");
    check_ready("200", "ok")?;
    let file = OffFile::write()?;
    check_off()?;
    ensure!(main_pid()? == pid, "another process was started");
    systemctl(&["restart", UNIT])?;
    check_off()?;
    let pid = main_pid()?;
    file.remove()?;
    until("programs of it", PATIENCE, || {
        let now = Metrics::scrape(ADDRESS)
            .and_then(|it| it.number("pinscope_switched_off").context("no switch"));
        Ok(match (now, programs::tracing()?.is_empty()) {
            (Ok(0.0), false) => Look::Done(()),
            other => Look::NotYet(format!("{other:?}")),
        })
    })?;
    check_ready("200", "ok")?;
    ensure!(main_pid()? == pid, "another process was started");
    scrape()?;
    Ok(())
}

fn check_off() -> Result<()> {
    until("it to be off", PATIENCE, || {
        let left = programs::tracing()?.len();
        let status = property(UNIT, "StatusText")?;
        let told = Metrics::scrape(ADDRESS)
            .ok()
            .and_then(|it| it.number("pinscope_switched_off"));
        let is_off = left == 0
            && status == format!("switched off: {OFF} is there; nothing is attached")
            && told == Some(1.0);
        Ok(if is_off {
            Look::Done(())
        } else {
            Look::NotYet(format!(
                "{left} programs, {status:?}, pinscope_switched_off {told:?}"
            ))
        })
    })?;
    let state = property(UNIT, "ActiveState")?;
    ensure!(state == "active", "it is {state}");
    check_ready("503", &format!("switched off: {OFF} is there"))
}

/// What `/readyz` answers.
fn check_ready(status: &str, why: &str) -> Result<()> {
    let mut stream = TcpStream::connect(ADDRESS)?;
    write!(stream, "GET /readyz HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let is_it = answer.split(' ').nth(1) == Some(status) && answer.trim_end().ends_with(why);
    ensure!(
        is_it,
        "/readyz answers {answer:?}, and not {status} {why:?}"
    );
    Ok(())
}

/// The switch's file while this lives.
struct OffFile;

impl OffFile {
    fn write() -> Result<Self> {
        fs::write(OFF, "")?;
        Ok(Self)
    }

    fn remove(self) -> Result<()> {
        fs::remove_file(OFF).with_context(|| format!("{OFF} stays"))
    }
}

impl Drop for OffFile {
    fn drop(&mut self) {
        // The other tests would tell.
        let _removed_already = fs::remove_file(OFF);
    }
}

/// It fails at once, names the way out, and stays failed.
fn check_refused(way_out: &str) -> Result<()> {
    ensure!(systemctl(&["start", UNIT]).is_err(), "it was started");
    for (name, wanted) in [
        ("ActiveState", "failed"),
        ("SubState", "failed"),
        ("Result", "exit-code"),
        ("ExecMainStatus", "2"),
        ("NRestarts", "0"),
    ] {
        let found = property(UNIT, name)?;
        ensure!(found == wanted, "{name} is {found}, not {wanted}");
    }
    until("its last words", PATIENCE, || {
        let log = journal(UNIT)?;
        Ok(if log.contains(way_out) {
            Look::Done(())
        } else {
            Look::NotYet(format!("{way_out:?} is not in its log: {log}"))
        })
    })
}

/// A switch that is off while this lives.
struct Off(&'static str);

impl Off {
    fn switch(path: &'static str) -> Result<Self> {
        match fs::write(path, "0") {
            Ok(()) => Ok(Self(path)),
            Err(error) => Err(absent(format!("this kernel keeps {path} on: {error}"))),
        }
    }

    fn on(self) -> Result<()> {
        fs::write(self.0, "1").with_context(|| format!("{} stays off", self.0))
    }
}

impl Drop for Off {
    fn drop(&mut self) {
        // The other tests would tell.
        let _on_already = fs::write(self.0, "1");
    }
}
