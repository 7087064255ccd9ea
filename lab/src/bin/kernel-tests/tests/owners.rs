//! Who holds what when several hold at once: each its own part, on pages of their own and on
//! pages that they share, and all parts together the whole.

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::bench::Bench;
use crate::holders::{ask, by_subsystem, check_sums, until_pinned};
use crate::metrics::Metrics;
use crate::workload::Stepped;
use lab::page::page_bytes;

pub(super) fn several_programs_at_once_add_up_whatever_the_report_is_by(
    bench: &Bench,
) -> Result<()> {
    bench.needs_hook("pin_user_pages_remote")?;
    let _agent = bench.shared_agent(&[])?;
    let workloads = [
        ("io_uring_buffers", &["uring-fixed", "--pages", "512"][..]),
        (
            "process_vm",
            &["hold", "--pages", "1024", "--folios", "small"],
        ),
        ("af_xdp", &["xdp-umem", "--pages", "256"]),
    ];
    // References are no pins: these are to change nothing.
    let mut references = Stepped::start(bench, &["vmsplice", "--pages", "64"])?;
    references.reach("ready")?;
    references.reach("held")?;
    let mut total = 0;
    let mut running = Vec::new();
    for (subsystem, arguments) in workloads {
        let mut workload = Stepped::start(bench, arguments)?;
        let pages = workload.reach("held")?.pages_pinned;
        total += pages;
        running.push((subsystem, pages, workload));
    }
    check_sums(bench, total, "with three programs")?;
    let by_subsystem = by_subsystem(bench)?;
    let by_process = ask(bench, "process", &[])?;
    for (subsystem, pages, workload) in &running {
        ensure!(
            by_subsystem.pins_of("subsystem", subsystem) == *pages,
            "{subsystem} has {pages}: {by_subsystem:?}"
        );
        let [row] = by_process.of_pid(workload.pid())[..] else {
            anyhow::bail!("one row for {}: {by_process:?}", workload.pid());
        };
        ensure!(
            row.pins.value == *pages && row.about["process"]["comm"] == "workload",
            "{subsystem} has {pages}: {by_process:?}"
        );
    }
    // What io_uring accounts for differs from kernel to kernel; the report says what the kernel says.
    let pid = running[0].2.pid();
    let accounts = &by_process.of_pid(pid)[0].about["process"]["accounts"];
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmPin:"));
    let kibibytes: i64 = line
        .and_then(|line| line.split_whitespace().next())
        .context("no VmPin")?
        .parse()?;
    ensure!(
        accounts["vm_pin_bytes"] == kibibytes * 1024,
        "VmPin of {kibibytes} KiB: {accounts:?}"
    );
    for (_, pages, workload) in running {
        workload.finish()?;
        total -= pages;
        until_pinned(bench, total)?;
        check_sums(bench, total, "with one program less")?;
    }
    references.finish()
}

pub(super) fn of_two_who_pin_the_same_file_pages_each_has_its_part_until_it_releases_it(
    bench: &Bench,
) -> Result<()> {
    const PAGES: i64 = 256;
    bench.needs_hook("pin_user_pages_remote")?;
    let _agent = bench.shared_agent(&[])?;
    let path = bench.dir.join("kernel-tests-shared-file");
    fs::write(&path, vec![1; PAGES as usize * page_bytes()])?;
    let name = path.to_str().context("a path of another alphabet")?;
    let arguments = [
        "hold", "--pages", "256", "--access", "read", "--syncs", "0", "--file", name,
    ];
    let mut one = Stepped::start(bench, &arguments)?;
    one.reach("held")?;
    let mut other = Stepped::start(bench, &arguments)?;
    other.reach("held")?;
    check_sums(bench, 2 * PAGES, "with two on the same pages")?;
    let found = bench.witnessed()?;
    let (folios, bytes) = (found.folios.cast_signed(), found.bytes.cast_signed());
    let both = ask(bench, "process", &[])?;
    for pid in [one.pid(), other.pid()] {
        let rows = both.of_pid(pid);
        ensure!(
            rows.len() == 1 && rows[0].figures() == [PAGES, folios, bytes / 2],
            "{pid} has {PAGES} pages: {both:?}"
        );
    }
    let by_file = ask(bench, "file", &[])?;
    let [row] = by_file.rows.as_slice() else {
        anyhow::bail!("one file is pinned: {by_file:?}");
    };
    ensure!(
        row.figures() == [2 * PAGES, folios, bytes] && row.about["file"]["file"]["path"] == name,
        "{name} is pinned twice: {by_file:?}"
    );

    // A release names no owner: what was pinned last is taken to be released first.
    other.finish()?;
    check_sums(bench, PAGES, "with one of two gone")?;
    let left = ask(bench, "process", &[])?;
    ensure!(
        left.rows.len() == 1 && left.of_pid(one.pid()).len() == 1,
        "only {} holds on: {left:?}",
        one.pid()
    );
    one.finish()?;
    check_sums(bench, 0, "with both gone")?;
    fs::remove_file(&path)?;
    Ok(())
}

/// More rings than the ledger has slots for one folio.
pub(super) fn twenty_rings_of_a_process_over_the_same_buffers_are_that_process_s(
    bench: &Bench,
) -> Result<()> {
    const RINGS: i64 = 20;
    let agent = bench.shared_agent(&[])?;
    let nameless = |it: &Metrics| it.sum_with("pinscope_lost_total", &[("cause", "owners_full")]);
    let before = nameless(&agent.scrape()?);
    let arguments = [
        "uring-fixed",
        "--pages",
        "64",
        "--rings",
        "20",
        "--release",
        "close",
    ];
    let mut workload = Stepped::start(bench, &arguments)?;
    let pages = workload.reach("held")?.pages_pinned;
    ensure!(pages == 64 * RINGS, "{pages} pages are pinned");
    check_sums(bench, pages, "with twenty rings")?;
    let by_process = ask(bench, "process", &[])?;
    let [row] = by_process.rows.as_slice() else {
        anyhow::bail!("one process pins: {by_process:?}");
    };
    ensure!(
        row.about["process"]["pid"] == workload.pid() && row.pins.value == pages,
        "{} has {pages} pages: {by_process:?}",
        workload.pid()
    );
    workload.finish()?;
    // A worker of the kernel releases them.
    until_pinned(bench, 0)?;
    check_sums(bench, 0, "with no ring")?;
    let after = nameless(&agent.scrape()?);
    ensure!(after == before, "{} pins lost their owner", after - before);
    Ok(())
}
