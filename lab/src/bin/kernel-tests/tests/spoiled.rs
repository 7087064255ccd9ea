//! Memory that small pins keep from being huge pages: the running agent tells as much of it as the
//! witness finds, who looks at every page.

use anyhow::{Result, ensure};

use crate::bench::Bench;
use crate::wait::Look;
use crate::workload::Stepped;
use lab::page::huge_page_bytes;

const ALL: &str = "pinscope_spoiled_bytes";
const BY_SUBSYSTEM: &str = "pinscope_subsystem_spoiled_bytes";
const SUBSYSTEM: (&str, &str) = ("subsystem", "io_uring_buffers");

pub(super) fn memory_that_small_pins_spoil_is_told_while_they_are_held(
    bench: &Bench,
) -> Result<()> {
    let agent = bench.shared_agent(&[])?;
    let mut workloads = Vec::new();
    // Huge pages spoil nothing.
    for memory in ["anon", "memfd", "thp"] {
        let arguments = ["uring-fixed", "--memory", memory, "--pages", "2048"];
        let mut workload = Stepped::start(bench, &arguments)?;
        workload.reach("held")?;
        workloads.push(workload);
    }
    let blocks = bench.witnessed()?.spoiled_blocks;
    ensure!(blocks > 0, "nothing is spoiled");
    let wanted = (blocks * huge_page_bytes() as u64).cast_signed();
    agent.scrape_until("all that is spoiled", |now| {
        let told = [now.sum(ALL)?, now.sum_with(BY_SUBSYSTEM, &[SUBSYSTEM])];
        Ok(match told == [wanted; 2] {
            true => Look::Done(()),
            false => Look::NotYet(format!("{told:?} of {wanted}")),
        })
    })?;
    for mut workload in workloads {
        workload.reach("released")?;
        workload.finish()?;
    }
    agent.scrape_until("nothing spoiled", |now| {
        let told = [now.sum(ALL)?, now.sum(BY_SUBSYSTEM)?];
        Ok(match told == [0; 2] {
            true => Look::Done(()),
            false => Look::NotYet(format!("{told:?}")),
        })
    })
}
