//! `witness`: counts what is pinned on the machine it is started on, page by page and without eBPF.
//! How, is `lab::witness`.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Parser;
use serde::Serialize;

use lab::page::huge_page_bytes;
use lab::pin_counters::PinCounters;
use lab::witness::{Count, Found, Witness};

/// Count what is pinned, by a look at every `struct page` of the machine.
///
/// Needs root, `/proc/kcore` and the kernel's BTF; loads nothing into the kernel.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Count until two counts in a row agree.
    #[arg(long)]
    watch: bool,
    /// How long to wait for that, in seconds.
    #[arg(long, default_value_t = 30, requires = "watch")]
    patience: u64,
    /// Print every folio that is pinned or has many references that nothing explains.
    #[arg(long, conflicts_with = "json")]
    list: bool,
}

#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    count: Count,
    /// Folios that changed as often as they were looked at.
    moving: u64,
    /// Folios with many references that nothing explains.
    stray_folios: usize,
    looked_at: u64,
    /// What the kernel's own two counters say is pinned: not what was counted.
    vmstat_pins: u64,
    seconds: f64,
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("witness: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<()> {
    let witness = Witness::new()?;
    let start = Instant::now();
    let found = if cli.watch {
        witness.settled(Duration::from_secs(cli.patience))?
    } else {
        witness.look()?
    };
    let report = Report {
        count: found.count(),
        moving: found.moving,
        stray_folios: found.stray.len(),
        looked_at: found.looked_at,
        seconds: start.elapsed().as_secs_f64(),
        vmstat_pins: PinCounters::read()?.outstanding(),
    };
    if cli.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print(&report, cli.list.then_some(&found));
    }
    Ok(())
}

fn print(report: &Report, list: Option<&Found>) {
    if let Some(found) = list {
        for it in &found.pinned {
            println!("frame {:#x}, {} pages: {} pins", it.pfn, it.pages, it.pins);
        }
        for it in &found.stray {
            println!("frame {:#x}: {} stray references", it.pfn, it.references);
        }
    }
    let Count {
        pins,
        folios,
        large_folios,
        bytes,
        spoiled_blocks,
    } = report.count;
    println!(
        "{pins} pins on {folios} folios, {large_folios} of them large: {} KiB; the small ones in \
         {spoiled_blocks} blocks of {} MiB",
        bytes / 1024,
        huge_page_bytes() >> 20
    );
    println!("/proc/vmstat: {} pins", report.vmstat_pins);
    println!(
        "{} pages looked at in {:.2} s; {} folios in motion, {} with stray references",
        report.looked_at, report.seconds, report.moving, report.stray_folios
    );
}
