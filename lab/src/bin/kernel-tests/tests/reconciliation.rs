//! The books after millions of pins: nothing outstanding, nothing left in the ledger.

use anyhow::{Result, ensure};

use crate::bench::Bench;
use crate::books::{Books, Rollbacks};
use crate::workload;

/// 200,000 pins and as many releases, or what `--churn-calls` makes of it.
pub(super) fn eight_threads_over_shared_folios_leave_no_page_outstanding(
    bench: &Bench,
) -> Result<()> {
    bench.needs_hook("pin_user_pages_remote")?;
    let agent = bench.shared_agent(&[])?;
    let books = Books::open(bench, &agent)?;
    let calls = bench.churn_calls.to_string();
    let arguments = [
        "churn",
        "--threads",
        "8",
        "--pages",
        "512",
        "--calls",
        &calls,
    ];
    let own = workload::run(bench, &arguments)?;
    let seen = books.check(&agent, Some(own), Rollbacks::Nothing)?;
    println!("     {seen}");
    ensure!(
        seen.held.folios == 0,
        "folios are left in the ledger: {seen}"
    );
    Ok(())
}
