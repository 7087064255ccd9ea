//! `cargo xtask cost`: what the probes cost, in instructions, and docs/cost.md written anew from it.
//! Leaves out the measuring itself, which `cost/guest.sh` does in a guest whose clock counts instructions.

mod budget;
mod document;
mod figures;
mod lines;
mod table;

use std::process::ExitCode;

use anyhow::{Context as _, ensure};

use crate::{arch::Arch, kernels, lab::heard, say, setup};
use figures::Figures;

/// The kernels that the document tells of.
const KERNELS: [&str; 2] = ["6.1", "6.12"];

const SCRIPT: &str = include_str!("cost/guest.sh");

/// Debian's release that the other programs are from, on every kernel: the figures can then be compared.
const SUITE: &str = "bookworm";

const PACKAGES: &str = "fio,bpftrace,e2fsprogs";

/// For 200,000 pages that are pinned, beside the programs.
const MEMORY: &str = "3G";

/// Seconds after which a guest counts as hung.
const TIMEOUT: &str = "3000";

/// What to measure, and what to do with it.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Kernels to measure on, instead of the usual ones
    #[arg(long, value_name = "SERIES")]
    kernel: Vec<String>,
    /// Write nothing, and fail if a budget is exceeded
    #[arg(long)]
    check: bool,
}

pub(crate) fn verb(options: &Options) -> anyhow::Result<ExitCode> {
    let series: Vec<_> = match options.kernel.as_slice() {
        [] => KERNELS.map(str::to_owned).to_vec(),
        named => named.to_vec(),
    };
    let locked: Vec<_> = series
        .iter()
        .map(|series| kernels::locked(series))
        .collect::<anyhow::Result<_>>()?;
    setup::all(Arch::HOST)?;
    let mut exceeded = 0;
    for locked in &locked {
        let kernel = kernels::store::bring(locked)?;
        let figures = measure(&kernel.series)
            .with_context(|| format!("cannot measure on {}", kernel.release))?;
        let budgets = budget::of(&figures)?;
        let text = table::of(&kernel.release, &figures, &budgets)?;
        println!("{text}");
        for budget in budgets.iter().filter(|budget| !budget.is_kept()) {
            say::step(
                "cost",
                format_args!("{}: exceeded: {budget}", kernel.series),
            );
            exceeded += 1;
        }
        if !options.check {
            document::write(&kernel.series, &text)?;
        }
    }
    Ok(if options.check && exceeded > 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Boots the kernel, measures everything in that one boot, and holds the rounds against each other.
fn measure(series: &str) -> anyhow::Result<Figures> {
    say::step(
        "cost",
        format_args!("measuring on {series}, which takes some minutes"),
    );
    let mut arguments = vec!["--kernel", series, "--icount"];
    arguments.extend(["--suite", SUITE, "--package", PACKAGES]);
    arguments.extend(["--module", "null_blk", "--module", "brd"]);
    arguments.extend(["--memory", MEMORY]);
    arguments.extend(["--timeout", TIMEOUT, "--", "sh", "-c", SCRIPT]);
    let mut figures = Figures::default();
    let status = heard::run(arguments, |line| lines::read(line, &mut figures))?;
    ensure!(status.success(), "the guest ended with {status}");
    figures.repeat()?;
    Ok(figures)
}
