//! Whether the kernel's own tracers still work, for whoever comes after the agent.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    time::Duration,
};

use anyhow::{Context, Result};

use crate::wait::{Look, until};

const TRACEFS: &str = "/sys/kernel/tracing";

/// One probe comes and goes, which has the kernel look for marks of ours, and then every function
/// is traced for a moment.
pub(crate) fn others_can_trace() -> Result<()> {
    let file = |name: &str| format!("{TRACEFS}/{name}");
    // To truncate the file takes all probes away.
    let change = |line: &str| {
        let events = OpenOptions::new().append(true).open(file("kprobe_events"));
        events.and_then(|mut it| it.write_all(line.as_bytes()))
    };
    change("p:others/fsync vfs_fsync")?;
    for switch in ["1", "0"] {
        fs::write(file("events/others/fsync/enable"), switch)?;
    }
    change("-:others/fsync")?;
    fs::write(file("current_tracer"), "function")
        .context("the function tracer is not to be had")?;
    let traced = until("a function that is traced", Duration::from_secs(10), || {
        // While it is read nothing is traced, or reading would add to what there is to read.
        fs::write(file("tracing_on"), "0")?;
        let trace = fs::read_to_string(file("trace"))?;
        fs::write(file("tracing_on"), "1")?;
        let calls = trace.lines().filter(|it| !it.starts_with('#')).count();
        Ok(if calls > 0 {
            Look::Done(())
        } else {
            Look::NotYet("none".to_owned())
        })
    });
    fs::write(file("current_tracer"), "nop")?;
    traced
}
