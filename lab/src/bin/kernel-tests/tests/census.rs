//! The census: it finds what was pinned before anybody looked, to the page, and says whose it is.

use std::os::unix::process::CommandExt;

use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::agent::run_to_end;
use crate::bench::Bench;
use crate::caller::{HandedOn, NOBODY, SERVICE};
use crate::census::Census;
use crate::workload::{Beside, Stepped};
use lab::page::{huge_page_bytes, page_bytes};

fn page() -> u64 {
    page_bytes() as u64
}

/// Fixed buffers on memory of every kind, in pages of 4 KiB.
const PAGES: u64 = 2048;

pub(super) fn what_was_pinned_before_is_counted_to_the_page_and_named(bench: &Bench) -> Result<()> {
    bench.needs_an_agent()?;
    bench.end_shared()?;
    let mut workloads = Vec::new();
    for memory in ["anon", "thp", "hugetlb", "memfd"] {
        let pages = PAGES.to_string();
        let arguments = ["uring-fixed", "--memory", memory, "--pages", &pages];
        let mut workload = Stepped::start(bench, &arguments)?;
        let own = workload.reach("held")?;
        workloads.push((memory, workload, own.pages_pinned - own.pages_released));
    }
    let census = Census::take(bench, &[])?;
    census.check(bench.witnessed()?)?;
    ensure!(
        census.unmapped_bytes == 0 && census.mapping_unknown_bytes == 0,
        "all of it is mapped: {census:?}"
    );
    for (memory, workload, pins) in &workloads {
        let row = census.of_pid(workload.pid());
        let row = row.with_context(|| format!("no row for {memory}: {census:?}"))?;
        let folios = match *memory {
            "thp" | "hugetlb" => PAGES * page() / huge_page_bytes() as u64,
            _ => PAGES,
        };
        ensure!(
            row.pins.cast_signed() == *pins && row.folios == folios && row.bytes == PAGES * page(),
            "{memory}: {pins} pins on {folios} folios were to be found: {row:?}"
        );
        // Small pages lie in as many blocks at least as they would fill, and huge ones spoil none.
        let least = if folios == PAGES { PAGES * page() } else { 0 };
        ensure!(
            row.spoiled_bytes >= least && (least > 0) == (row.spoiled_bytes > 0),
            "{memory}: {least} bytes at least are spoiled: {row:?}"
        );
        let likely = row.processes[0].likely.as_deref().unwrap_or_default();
        ensure!(likely == ["io_uring_buffers"], "{memory}: {row:?}");
    }
    let kinds = Census::take(bench, &["--by", "kind"])?;
    for (kind, kinds_of_memory) in [("anonymous", 2), ("hugetlb", 1), ("shmem", 1)] {
        let bytes = kinds.named(kind).map(|it| it.bytes);
        ensure!(
            bytes == Some(kinds_of_memory * PAGES * page()),
            "{kind}: {kinds:?}"
        );
    }
    let nodes = Census::take(bench, &["--by", "node"])?;
    ensure!(
        nodes
            .rows
            .iter()
            .all(|it| it.kernel_pins == Some(it.pins.cast_signed())),
        "the kernel counts by node too: {nodes:?}"
    );
    of_a_block_and_a_range(bench)?;
    for (_, workload, _) in &mut workloads {
        workload.reach("released")?;
    }
    for (_, workload, _) in workloads {
        workload.finish()?;
    }
    Census::take(bench, &[])?.check(bench.witnessed()?)
}

/// Exactly what lies there.
fn of_a_block_and_a_range(bench: &Bench) -> Result<()> {
    const BLOCK_BYTES: &str = "/sys/devices/system/memory/block_size_bytes";
    let blocks = Census::take(bench, &["--by", "block"])?;
    let most = blocks.rows.first().context("nothing is pinned")?;
    let number = most.name.trim_start_matches("memory");
    let text = std::fs::read_to_string(BLOCK_BYTES)?;
    let pages = u64::from_str_radix(text.trim(), 16)? / page();
    let number_of: u64 = number.parse().context("no memory block")?;
    let range = format!("{}..{:#x}", number_of * pages, (number_of + 1) * pages);
    for arguments in [["--block", number], ["--range", &range]] {
        let part = Census::take(bench, &arguments)?;
        ensure!(
            [part.pins, part.folios, part.bytes] == [most.pins, most.folios, most.bytes],
            "{most:?} was to be found: {part:?}"
        );
    }
    Ok(())
}

pub(super) fn twelve_hundred_sleeping_processes_add_nothing_to_the_census(
    bench: &Bench,
) -> Result<()> {
    bench.needs_an_agent()?;
    bench.end_shared()?;
    let mut crowd = Stepped::start(bench, &["crowd", "--processes", "1200"])?;
    let own = crowd.reach("held")?.pages_pinned;
    let census = Census::take(bench, &["--by", "file"])?;
    census.check(bench.witnessed()?)?;
    ensure!(
        census.pins.cast_signed() == own,
        "{own} pins are held: {census:?}"
    );
    crowd.reach("released")?;
    crowd.finish()
}

pub(super) fn memory_that_its_process_has_left_pinned_is_told_as_mapped_by_nobody(
    bench: &Bench,
) -> Result<()> {
    const PINNED: u64 = 300;
    bench.needs_an_agent()?;
    bench.end_shared()?;
    let pages = PINNED.to_string();
    let mut dead = Stepped::start(bench, &["leak", "--pages", &pages, "--memory", "anon"])?;
    dead.reach("held")?;
    dead.end_and_leave_heirs()?;
    let census = Census::take(bench, &[])?;
    census.check(bench.witnessed()?)?;
    let row = census.named("no process maps it");
    let row = row.with_context(|| format!("no such row: {census:?}"))?;
    ensure!(
        row.pins == PINNED
            && row.unmapped_bytes == PINNED * page()
            && census.unmapped_bytes == PINNED * page(),
        "{PINNED} pages are pinned and mapped by nobody: {census:?}"
    );
    dead.finish()
}

pub(super) fn a_census_under_load_ends_and_agrees_with_the_kernel_at_rest(
    bench: &Bench,
) -> Result<()> {
    bench.needs_an_agent()?;
    bench.end_shared()?;
    let mut held = Stepped::start(bench, &["uring-fixed", "--pages", "1024"])?;
    held.reach("held")?;
    let arguments = ["--duration", "600s", "churn", "--calls", "1000000000"];
    let mut churn = Beside::start(bench, &arguments)?;
    let busy = Census::take(bench, &["--by", "node"])?;
    println!(
        "     under load: {} pins, {} folios not settled",
        busy.pins, busy.unsettled_folios
    );
    ensure!(!churn.has_ended()?, "the load ended before the census");
    drop(churn);
    ensure!(
        busy.pins >= 1024 && busy.untold_folios == 0,
        "1024 pins are held all the time: {busy:?}"
    );
    Census::take(bench, &["--by", "node"])?.check(bench.witnessed()?)?;
    held.reach("released")?;
    held.finish()
}

pub(super) fn a_census_names_what_it_lacks_and_the_way_out(bench: &Bench) -> Result<()> {
    let ended = run_to_end(bench, &["census"], |command| {
        command.uid(NOBODY).gid(NOBODY);
    })?;
    ensure!(
        ended.status.code() == Some(2)
            && ended.log.contains("CAP_BPF, CAP_PERFMON, CAP_SYSLOG")
            && ended.log.contains("AmbientCapabilities"),
        "it ended with {} and said: {}",
        ended.status,
        ended.log
    );
    for (arguments, word) in [
        (
            ["census", "--block", "4000000000"],
            "/sys/devices/system/memory",
        ),
        (["census", "--range", "5..5"], "--range"),
    ] {
        let ended = run_to_end(bench, &arguments, |_command| {})?;
        ensure!(
            ended.status.code() == Some(2) && ended.log.contains(word),
            "{arguments:?} ended with {} and said: {}",
            ended.status,
            ended.log
        );
    }
    bench.needs_an_agent()?;
    // What takes no more than the service has is told; the rest is said to be missing.
    let handed = HandedOn::new(SERVICE)?;
    let arguments = ["census", "--format", "json"];
    // As the service has it: older kernels charge maps to it.
    let limit = getrlimit(Resource::Memlock);
    let unlimited = Rlimit {
        current: None,
        maximum: None,
    };
    setrlimit(Resource::Memlock, unlimited)?;
    let ended = run_to_end(bench, &arguments, |command| handed.to(command));
    setrlimit(Resource::Memlock, limit)?;
    let ended = ended?;
    ensure!(
        ended.status.success(),
        "it ended with {} and said: {}",
        ended.status,
        ended.log
    );
    let census: Census = serde_json::from_str(&ended.output)?;
    ensure!(
        census.difference == Some(0) && census.notes.iter().any(|it| it.contains("CAP_SYS_ADMIN")),
        "{census:?}"
    );
    Ok(())
}
