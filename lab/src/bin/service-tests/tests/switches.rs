//! Switches of the host that keep probes from running. Nothing of the service may write them: it
//! refuses to start, and it waits with its end.

use std::fs;

use anyhow::{Context, Result, ensure};
use lab::absent::absent;

use super::lifecycle::check_ended_cleanly;
use crate::service::{PATIENCE, UNIT, running, with_setting};
use crate::systemd::{journal, property, systemctl};
use crate::tracing::others_can_trace;
use crate::wait::{Look, until};

const FTRACE: &str = "/proc/sys/kernel/ftrace_enabled";
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
