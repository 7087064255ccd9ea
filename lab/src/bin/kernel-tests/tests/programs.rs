//! Programs of Debian under the agent, a row for each: who pins is named while it runs, and the
//! books agree once it has ended. It says nothing of how fast they are.

use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::Test;
use crate::agent::Agent;
use crate::bench::Bench;
use crate::books::{Books, Rollbacks};
use crate::holders::{ask, check_sums};
use crate::metrics::Metrics;
use crate::wait::{Look, until};
use lab::absent::absent;

/// A program and what is to be seen of it.
struct Row {
    /// The name of its test.
    name: &'static str,
    /// A line for the shell; `$dir` is the folder for files. There is a file `seen` in it as soon as
    /// the program has been seen at work; until then the line is run again when it ends.
    script: &'static str,
    takes: Takes,
}

/// What it makes the kernel take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    /// Pins for this subsystem, by processes whose names begin so.
    Pins(&'static str, &'static str),
    /// References only.
    References,
}

impl Takes {
    /// Where a hook sees direct I/O release references, that takes no pins: before Linux 6.3.
    fn on_this_kernel(self, agent: &Metrics) -> Self {
        let references = agent.sum_with("pinscope_hook_attached", &[("hook", "bio_release")]) > 0;
        match self {
            Self::Pins("direct_io", _) if references => Self::References,
            other => other,
        }
    }
}

const ROWS: &[Row] = &[
    Row {
        name: "fio_with_psync_is_named_for_direct_io",
        script: "fio --name=a --filename=$dir/fio --size=16M --direct=1 --rw=randrw --bs=64k \
                 --ioengine=psync --numjobs=2 --runtime=3 --time_based",
        takes: Takes::Pins("direct_io", "fio"),
    },
    Row {
        name: "fio_with_libaio_is_named_for_direct_io",
        script: "fio --name=a --filename=$dir/fio --size=16M --direct=1 --rw=randrw --bs=16k \
                 --ioengine=libaio --iodepth=16 --runtime=3 --time_based",
        takes: Takes::Pins("direct_io", "fio"),
    },
    Row {
        name: "fio_with_fixed_buffers_is_named_for_them",
        script: "fio --name=a --filename=$dir/fio --size=16M --direct=1 --rw=randread --bs=16k \
                 --ioengine=io_uring --fixedbufs=1 --iodepth=16 --runtime=3 --time_based",
        takes: Takes::Pins("io_uring_buffers", "fio"),
    },
    Row {
        name: "fio_with_huge_pages_is_named_for_direct_io",
        script: "echo 64 > /proc/sys/vm/nr_hugepages; \
                 fio --name=a --filename=$dir/fio --size=16M --direct=1 --rw=randread --bs=64k \
                 --ioengine=io_uring --iodepth=16 --iomem=mmaphuge --runtime=3 --time_based; \
                 code=$?; echo 0 > /proc/sys/vm/nr_hugepages; exit $code",
        takes: Takes::Pins("direct_io", "fio"),
    },
    Row {
        name: "stress_ng_that_reads_other_processes_is_named_for_it",
        script: "stress-ng --vm-rw 1 --vm-rw-bytes 4M --timeout 3s --temp-path $dir",
        takes: Takes::Pins("process_vm", "stress-ng"),
    },
    Row {
        name: "stress_ng_with_aio_is_named_for_direct_io",
        script: "stress-ng --aiol 1 --timeout 3s --temp-path $dir",
        takes: Takes::Pins("direct_io", "stress-ng"),
    },
    Row {
        name: "stress_ng_with_vmsplice_only_references",
        script: "stress-ng --vm-splice 1 --timeout 2s --temp-path $dir",
        takes: Takes::References,
    },
    Row {
        name: "an_rdma_ping_pong_is_named_for_rdma",
        // 18515, at which the server listens, is 4853 in the kernel's own words. It has registered
        // its memory by then, and holds it until somebody plays.
        script: "rdma link add rxe0 type rxe netdev lo 2> /dev/null; \
                 ibv_rc_pingpong -g 1 -s 65536 -n 60 & \
                 until cat /proc/net/tcp /proc/net/tcp6 | grep -q ':4853 '; do true; done; \
                 until [ -e $dir/seen ]; do sleep 0.1; done; \
                 ibv_rc_pingpong -g 1 -s 65536 -n 60 127.0.0.1; wait",
        takes: Takes::Pins("rdma", "ibv_rc_pingpong"),
    },
];

/// How long a program may take, in a guest that is emulated.
const ENDS_WITHIN: Duration = Duration::from_secs(120);

/// A test for each row.
pub(super) fn tests() -> impl Iterator<Item = Test> {
    ROWS.iter().map(|row| Test {
        name: row.name,
        run: Box::new(|bench| check(row, bench)),
        either_way: false,
    })
}

fn check(row: &Row, bench: &Bench) -> Result<()> {
    for program in programs(row.script) {
        let found = Command::new("which")
            .arg(program)
            .stdout(Stdio::null())
            .status()?;
        if !found.success() {
            return Err(absent(format!("there is no {program} in this guest")));
        }
    }
    let agent = bench.shared_agent(&[])?;
    let start = agent.scrape()?;
    let books = Books::open(bench, &agent)?;
    let seen_file = bench.dir.join("seen");
    // The last program's, if there was one.
    let _none_yet = std::fs::remove_file(&seen_file);
    let again = format!(
        "while ( {} ); do [ -e $dir/seen ] && exit; done; exit 1",
        row.script
    );
    let mut running = Running::start(bench, &again)?;
    let takes = row.takes.on_this_kernel(&start);
    let most = match takes {
        Takes::Pins(subsystem, comm) => seen_at_work(bench, &agent, &mut running, subsystem, comm)?,
        Takes::References => 0,
    };
    std::fs::write(&seen_file, [])?;
    running.wait_for_end()?;
    let seen = books.check(&agent, None, Rollbacks::Some)?;
    println!("     {most} pages seen held; then {seen}");
    ensure!(seen.held.pins == 0, "{seen}");
    check_sums(bench, 0, "with the program gone")?;
    check_totals(takes, &start, &agent.scrape()?)
}

/// The words of the script that are programs of packages.
fn programs(script: &str) -> impl Iterator<Item = &'static str> {
    let known = ["fio", "stress-ng", "rdma", "ibv_rc_pingpong"];
    known
        .into_iter()
        .filter(move |program| script.split_whitespace().any(|word| word == *program))
}

/// Waits until the running program is seen with pins in a report by process, and one by subsystem;
/// says how many pages.
fn seen_at_work(
    bench: &Bench,
    agent: &Agent,
    running: &mut Running,
    subsystem: &str,
    comm: &str,
) -> Result<i64> {
    let before = held(&agent.scrape()?, subsystem);
    until("the program's pins", ENDS_WITHIN, || {
        let report = ask(bench, "process", &[])?;
        let rows = report.rows.iter().filter(|row| {
            let name = row.about["process"]["comm"].as_str().unwrap_or_default();
            name.starts_with(comm)
        });
        let pages: i64 = rows.map(|row| row.pins.value).sum();
        if pages > 0 {
            return Ok(Look::Done(pages));
        }
        if running.ended()?.is_some() {
            let held = held(&agent.scrape()?, subsystem) - before;
            anyhow::bail!(
                "it ended before it was seen with a pin; {subsystem} held {held} folios: {report:?}"
            );
        }
        Ok(Look::NotYet(format!("{report:?}")))
    })
}

fn check_totals(takes: Takes, start: &Metrics, now: &Metrics) -> Result<()> {
    let grown = |name| Ok::<_, anyhow::Error>(now.sum(name)? - start.sum(name)?);
    let pinned = grown("pinscope_pins_acquired_total")?;
    match takes {
        Takes::Pins(subsystem, _) => ensure!(
            pinned > 0 && held(now, subsystem) > held(start, subsystem),
            "{pinned} pages were pinned; {}",
            now.show("pinscope_hold_seconds_count")
        ),
        Takes::References => {
            let referenced = grown("pinscope_references_acquired_total")?;
            // The agent pins a page of its own now and then, to see that its hooks still see.
            let by_agent = held(now, "process_vm") - held(start, "process_vm");
            ensure!(
                pinned == by_agent && referenced > 0,
                "{pinned} pages were pinned, {by_agent} by the agent, {referenced} referenced"
            );
        }
    }
    Ok(())
}

fn held(metrics: &Metrics, subsystem: &str) -> i64 {
    metrics.sum_with("pinscope_hold_seconds_count", &[("subsystem", subsystem)])
}

/// A script that does not outlive its test.
struct Running {
    child: Child,
    started: Instant,
}

impl Running {
    fn start(bench: &Bench, script: &str) -> Result<Self> {
        let child = Command::new("sh")
            .args(["-c", script])
            .env("dir", &bench.dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("the shell cannot be started")?;
        Ok(Self {
            child,
            started: Instant::now(),
        })
    }

    fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    fn wait_for_end(&mut self) -> Result<()> {
        let left = ENDS_WITHIN.saturating_sub(self.started.elapsed());
        let status = until("the program's end", left, || {
            Ok(match self.ended()? {
                Some(status) => Look::Done(status),
                None => Look::NotYet("it still runs".to_owned()),
            })
        })?;
        ensure!(status.success(), "the program ended with {status}");
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail if it has ended already, which is what is wanted.
        let _ended_already = self.child.kill();
        let _ended_already = self.child.wait();
    }
}
