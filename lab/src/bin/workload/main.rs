//! `workload`: makes real pins on a real kernel and counts what it did itself, as JSON.
//! It judges nothing and asks no probe; the kernel tests compare its counts with theirs.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::{Parser, Subcommand};
use serde::Serialize;

use counts::Counts;
use lab::absent::Absent;
use lab::pin_counters::PinCounters;
use session::{Pace, Session};

mod counts;
mod duration;
mod kernel;
mod modes;
mod session;

/// Make real pins and count them.
///
/// The last line on standard output is a JSON object: what this process did by its own
/// count, and what the kernel's pin counters grew by meanwhile; or why this kernel cannot
/// do what was asked for; or what failed.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    /// Directory for the files that are mapped and read: ext4, xfs or btrfs.
    #[arg(long, global = true, default_value = "/mnt/disk0")]
    dir: PathBuf,
    /// How long to stay in each phase (such as pins held).
    #[arg(long, global = true, default_value = "0s", value_parser = duration::parse)]
    stay: Duration,
    /// Announce each phase as a JSON line, and wait for a line on standard input to leave it.
    #[arg(long, global = true, conflicts_with = "stay")]
    step: bool,
    /// End after this time at the latest.
    #[arg(long, global = true, value_parser = duration::parse)]
    duration: Option<Duration>,
    /// Take all memory from this NUMA node.
    #[arg(long, global = true)]
    node: Option<u32>,
    #[command(subcommand)]
    mode: Mode,
}

#[derive(Debug, Subcommand)]
enum Mode {
    /// Direct reads into a shared file mapping, each followed by an msync.
    DirectRead(modes::direct_read::Args),
    /// Direct reads by many threads into one shared file mapping, stored to and synced meanwhile.
    DirectStorm(modes::direct_storm::Args),
    /// Pins held on file pages while the file is synced.
    Hold(modes::hold::Args),
    /// Unmapping and remapping, racing with syncs and direct reads.
    ZapRace(modes::zap_race::Args),
    /// Stores and syncs with nothing pinned.
    Dirty(modes::dirty::Args),
    /// A private mapping of the same pages beside the shared one.
    Private(modes::private::Args),
    /// A call that pins, and waits for a page in the middle.
    BlockedPin(modes::blocked_pin::Args),
    /// A process that pins, and is then another: by exec, name or threads.
    Changed(modes::changed::Args),
    /// Many pages pinned and released by many threads.
    Churn(modes::churn::Args),
    /// Many mkclean walks on pinned pages.
    RingFlood(modes::ring_flood::Args),
    /// References held on file pages by a full pipe.
    Vmsplice(modes::vmsplice::Args),
    /// Fixed buffers of an io_uring, pinned longterm.
    UringFixed(modes::uring_fixed::Args),
    /// Pins that outlive the process that took them.
    Leak(modes::leak::Args),
    /// Pins of a process that waits for a disk in its exit.
    LateEnd(modes::late_end::Args),
    /// Pins on pages that many sleeping processes have mapped.
    Crowd(modes::crowd::Args),
    /// Pins on pages that have plain references by the hundred.
    Referenced(modes::referenced::Args),
    /// Several processes that pin the same pages and release them in any order.
    Owners(modes::owners::Args),
    /// The memory of an AF_XDP socket, pinned longterm.
    XdpUmem(modes::xdp_umem::Args),
    /// Memory registered with an RDMA device in software.
    RdmaRegion(modes::rdma_region::Args),
    /// Longterm pins that the kernel rolls back inside the call.
    RefusedPin(modes::refused_pin::Args),
    /// A dma-buf over a memfd.
    Udmabuf(modes::udmabuf::Args),
    /// Changes of rings that a vhost device logs.
    VhostLog(modes::vhost_log::Args),
    /// Datagrams sent with MSG_ZEROCOPY over loopback.
    Zerocopy(modes::zerocopy::Args),
    /// One operation again and again, timed by itself.
    Timed(modes::timed::Args),
    /// Nothing; the report then tells the kernel's two pin counters as they are now.
    Counters,
    /// All of it in turn, moderately, to look at.
    Demo(modes::demo::Args),
}

#[derive(Serialize)]
struct Report {
    mode: &'static str,
    seconds: f64,
    counts: Counts,
    kernel: PinCounters,
    kernel_now: PinCounters,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let last = match error.downcast_ref() {
                Some(Absent(why)) => serde_json::json!({ "absent": why }),
                None => serde_json::json!({ "failed": format!("{error:#}") }),
            };
            println!("{last}");
            eprintln!("workload: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<()> {
    session::stop_on_signals()?;
    let started = Instant::now();
    let session = Session {
        dir: cli.dir.clone(),
        pace: if cli.step {
            Pace::Told
        } else {
            Pace::Clock(cli.stay)
        },
        ends_at: cli.duration.map(|it| started + it),
    };
    if let Some(node) = cli.node {
        kernel::nodes::bind(node)?;
    }
    let before = PinCounters::read()?;
    let (mode, counts) = cli.mode.run(&session)?;
    let kernel_now = PinCounters::read()?;
    let report = Report {
        mode,
        seconds: started.elapsed().as_secs_f64(),
        counts,
        kernel: kernel_now - before,
        kernel_now,
    };
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

impl Mode {
    fn run(&self, session: &Session) -> Result<(&'static str, Counts)> {
        Ok(match self {
            Self::DirectRead(args) => ("direct-read", modes::direct_read::run(args, session)?),
            Self::DirectStorm(args) => ("direct-storm", modes::direct_storm::run(args, session)?),
            Self::Hold(args) => ("hold", modes::hold::run(args, session)?),
            Self::ZapRace(args) => ("zap-race", modes::zap_race::run(args, session)?),
            Self::Dirty(args) => ("dirty", modes::dirty::run(args, session)?),
            Self::Private(args) => ("private", modes::private::run(args, session)?),
            Self::BlockedPin(args) => ("blocked-pin", modes::blocked_pin::run(args, session)?),
            Self::Changed(args) => ("changed", modes::changed::run(args, session)?),
            Self::Churn(args) => ("churn", modes::churn::run(args, session)?),
            Self::RingFlood(args) => ("ring-flood", modes::ring_flood::run(args, session)?),
            Self::Vmsplice(args) => ("vmsplice", modes::vmsplice::run(args, session)?),
            Self::UringFixed(args) => ("uring-fixed", modes::uring_fixed::run(args, session)?),
            Self::Leak(args) => ("leak", modes::leak::run(args, session)?),
            Self::LateEnd(args) => ("late-end", modes::late_end::run(args, session)?),
            Self::Crowd(args) => ("crowd", modes::crowd::run(args, session)?),
            Self::Referenced(args) => ("referenced", modes::referenced::run(args, session)?),
            Self::Owners(args) => ("owners", modes::owners::run(args, session)?),
            Self::XdpUmem(args) => ("xdp-umem", modes::xdp_umem::run(args, session)?),
            Self::RdmaRegion(args) => ("rdma-region", modes::rdma_region::run(args, session)?),
            Self::RefusedPin(args) => ("refused-pin", modes::refused_pin::run(args, session)?),
            Self::Udmabuf(args) => ("udmabuf", modes::udmabuf::run(args, session)?),
            Self::VhostLog(args) => ("vhost-log", modes::vhost_log::run(args, session)?),
            Self::Zerocopy(args) => ("zerocopy", modes::zerocopy::run(args, session)?),
            Self::Timed(args) => ("timed", modes::timed::run(args, session)?),
            Self::Counters => ("counters", Counts::default()),
            Self::Demo(args) => ("demo", modes::demo::run(args, session)?),
        })
    }
}
