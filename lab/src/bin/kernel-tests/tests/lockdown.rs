//! A locked-down kernel. A lockdown can be raised and never lowered, so these tests are the last
//! ones, and only a guest is locked down.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use lab::guest::job::JOB_PATH;

use crate::agent::{free_address, run_to_end};
use crate::bench::Bench;
use crate::tests::service;
use lab::absent::absent;

const LOCKDOWN: &str = "/sys/kernel/security/lockdown";

pub(super) fn a_kernel_locked_down_for_integrity_is_traced_without_tracefs_until_the_time_limit(
    bench: &Bench,
) -> Result<()> {
    bench.needs_an_agent()?;
    raise("integrity")?;
    let arguments = ["doctor", "--attach", &bench.attach];
    let ended = run_to_end(bench, &arguments, |_command| {})?;
    ensure!(
        ended.status.success() && ended.output.contains("integrity"),
        "the doctor ended with {}: {}",
        ended.status,
        ended.output
    );
    service::until_the_time_limit(bench)
}

pub(super) fn a_kernel_locked_down_for_confidentiality_is_refused_by_that_name(
    bench: &Bench,
) -> Result<()> {
    raise("confidentiality")?;
    bench.end_shared()?;
    let address = free_address()?.to_string();
    let arguments = [
        "run",
        "--log",
        "error",
        "--listen",
        &address,
        "--attach",
        &bench.attach,
    ];
    let ended = run_to_end(bench, &arguments, |_command| {})?;
    ensure!(
        ended.status.code() == Some(2)
            && ended.log.contains("locked down (confidentiality)")
            && ended.log.contains("lockdown=integrity")
            && ended.log.lines().count() == 1,
        "it ended with {} and said: {}",
        ended.status,
        ended.log
    );
    Ok(())
}

fn raise(level: &str) -> Result<()> {
    if !Path::new(JOB_PATH).exists() {
        return Err(absent("only a guest of the lab is locked down"));
    }
    if !Path::new(LOCKDOWN).exists() {
        return Err(absent("this kernel has no lockdown"));
    }
    fs::write(LOCKDOWN, level).with_context(|| format!("{LOCKDOWN} does not take {level}"))
}
