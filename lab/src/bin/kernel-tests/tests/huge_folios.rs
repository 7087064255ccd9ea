//! Pins on huge pages: one entry for a folio, however many of its pages are pinned.

use anyhow::{Result, ensure};

use crate::bench::{Bench, available_pages};
use crate::holders::{ask, check_sums, until_pinned};
use crate::workload::Stepped;
use lab::absent::absent;

/// Pages of 4 KiB in a folio.
const OF_A_FOLIO: i64 = 512;

pub(super) fn fixed_buffers_on_huge_pages_take_one_entry_a_folio(bench: &Bench) -> Result<()> {
    check(bench, 1 << 14)
}

pub(super) fn a_gibibyte_of_fixed_buffers_on_huge_pages_takes_512_entries(
    bench: &Bench,
) -> Result<()> {
    check(bench, 1 << 18)
}

/// Newer kernels pin a folio once for a ring, older ones once a page: its memory is the same.
pub(super) fn a_folio_that_five_rings_have_registered_is_2_mib_once_everywhere(
    bench: &Bench,
) -> Result<()> {
    const BYTES: i64 = OF_A_FOLIO * 4096;
    let agent = bench.shared_agent(&[])?;
    for rings in ["1", "5"] {
        let arguments = ["uring-fixed", "--memory", "thp", "--rings", rings];
        let mut workload = Stepped::start(bench, &arguments)?;
        let own = workload.reach("held")?;
        let pins = own.pages_pinned - own.pages_released;
        println!("     {rings} rings: {pins} pins");
        check_sums(bench, pins, "with a folio of 2 MiB")?;
        let report = ask(bench, "process", &[])?;
        let [row] = report.of_pid(workload.pid())[..] else {
            anyhow::bail!("one row for {}: {report:?}", workload.pid());
        };
        ensure!(
            row.figures() == [pins, 1, BYTES],
            "one folio is pinned: {report:?}"
        );
        let now = agent.scrape()?;
        for gauge in [
            "pinscope_pinned_bytes",
            "pinscope_subsystem_pinned_bytes",
            "pinscope_cgroup_pinned_bytes",
            "pinscope_memcg_pinned_bytes",
        ] {
            ensure!(now.sum(gauge)? == BYTES, "{}", now.show(gauge));
        }
        let ours = [("subsystem", "io_uring_buffers")];
        ensure!(
            now.sum_with("pinscope_subsystem_pinned_bytes", &ours) == BYTES,
            "{}",
            now.show("pinscope_subsystem_pinned_bytes")
        );
        workload.reach("released")?;
        workload.finish()?;
        until_pinned(bench, 0)?;
    }
    Ok(())
}

fn check(bench: &Bench, pages: i64) -> Result<()> {
    let folios = pages / OF_A_FOLIO;
    if available_pages()? < pages * 5 / 4 {
        return Err(absent(format!(
            "less than {} MiB of memory are available",
            pages * 5 / 4 / 256
        )));
    }
    let agent = bench.shared_agent(&[])?;
    let before = agent.scrape()?;
    let pages = pages.to_string();
    let mut workload = Stepped::start(
        bench,
        &["uring-fixed", "--memory", "hugetlb", "--pages", &pages],
    )?;
    workload.reach("held")?;
    let now = agent.scrape()?;
    let slots =
        now.sum("pinscope_ledger_slots_used")? - before.sum("pinscope_ledger_slots_used")?;
    println!("     {pages} pages held in {slots} entries");
    let pinned = now.sum("pinscope_pinned_folios")? - before.sum("pinscope_pinned_folios")?;
    // Fewer where an entry was taken that only remembered another folio.
    ensure!(
        pinned == folios && slots <= folios,
        "{folios} folios are pinned, the ledger has {pinned} in {slots} entries"
    );
    let report = ask(bench, "process", &[])?;
    let rows = report.of_pid(workload.pid());
    ensure!(
        rows.len() == 1
            && rows[0].folios.value == folios
            && rows[0].bytes.value == folios * OF_A_FOLIO * 4096
            && report.pins == report.kernel_pins,
        "{folios} folios are pinned: {report:?}"
    );
    workload.reach("released")?;
    until_pinned(bench, before.sum("pinscope_pins")?)?;
    let left = agent.scrape()?.sum("pinscope_pinned_folios")?;
    ensure!(
        left == before.sum("pinscope_pinned_folios")?,
        "{left} folios in the ledger at the end"
    );
    workload.finish()
}
