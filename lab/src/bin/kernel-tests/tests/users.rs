//! Memory limits are a user's: what its processes hold, wherever they run, is one row.

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::agent::run_to_end;
use crate::bench::Bench;
use crate::caller::after;
use crate::holders::{ask, check_sums, until_pinned};
use crate::workload::Stepped;
use lab::page::page_bytes;
use lab::pin_counters::fold_for_everybody;

/// Nobody else's in a guest, and without a name.
const UID: u32 = 54321;

const PAGES: i64 = 64;

/// What rings themselves may be charged for, besides what they have registered.
const RINGS: i64 = 1 << 20;

pub(super) fn a_user_is_one_row_with_all_its_processes_also_those_in_a_user_namespace(
    bench: &Bench,
) -> Result<()> {
    // Old kernels allow less by themselves.
    let unlimited = Rlimit {
        current: None,
        maximum: None,
    };
    setrlimit(Resource::Memlock, unlimited)?;
    fold_for_everybody()?;
    let _agent = bench.shared_agent(&[])?;
    let pages = PAGES.to_string();
    let arguments = ["uring-fixed", "--pages", &pages];
    let mut plain = Stepped::start_by(bench, &arguments, of_user)?;
    // One after the other: each counts what the kernel counts.
    plain.reach("held")?;
    let mut inside = Stepped::start_by(bench, &arguments, |command| {
        let mut unshare = Command::new("unshare");
        unshare.arg("-U").arg(command.get_program());
        unshare.args(command.get_args());
        *command = unshare;
        of_user(command);
    })?;
    inside.reach("held")?;
    let mut roots = Stepped::start(bench, &arguments)?;
    roots.reach("held")?;
    check_sums(bench, 3 * PAGES, "with two users")?;
    let report = ask(bench, "user", &[])?;
    let mut rows = report.rows.iter();
    let row = rows
        .find(|it| it.about["user"]["uid"] == UID)
        .with_context(|| format!("no row of {UID}: {report:?}"))?;
    let accounts = &row.about["user"]["accounts"];
    let charged = accounts["charged_bytes"].as_i64().context("no charge")?;
    let held = 2 * PAGES * page_bytes() as i64;
    ensure!(
        row.pins.value == 2 * PAGES
            && (held..=held + RINGS).contains(&charged)
            && accounts["memlock_limit_bytes"] == 64 << 20
            && row.about["user"]["name"].is_null(),
        "{UID} is charged for {held} and a little more, of 64 MiB: {row:?}"
    );
    let by_process = ask(bench, "process", &[])?;
    for (workload, namespace_of) in [(&plain, None), (&inside, Some(UID))] {
        let [row] = by_process.of_pid(workload.pid())[..] else {
            anyhow::bail!("one row for {}: {by_process:?}", workload.pid());
        };
        let process = &row.about["process"];
        let told = process["accounts"]["user_namespace_of"].as_u64();
        ensure!(
            process["uid"] == UID && told == namespace_of.map(u64::from),
            "the user outside counts: {row:?}"
        );
    }
    let text = run_to_end(bench, &["pins"], |_command| {})?;
    let line = format!("held to the limit of uid {UID} outside");
    ensure!(text.output.matches(&line).count() == 1, "{}", text.output);
    for mut workload in [plain, inside, roots] {
        workload.reach("released")?;
        workload.finish()?;
    }
    until_pinned(bench, 0)
}

/// Makes it that user's, who may lock 64 MiB.
fn of_user(command: &mut Command) {
    *command = after(command, "ulimit -l 65536");
    command.uid(UID).gid(UID);
}
