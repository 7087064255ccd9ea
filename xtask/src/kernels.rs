//! The lab's kernels: which there are, what the lock file pins, and keeping them under `target/kernels`.
//! Leaves out booting them.

pub(crate) mod add;
mod archive;
mod changes;
pub(crate) mod facts;
mod flavour;
mod lock;
pub(crate) mod modules;
pub(crate) mod store;

use std::path::PathBuf;

use clap::Subcommand;

use crate::{arch::Arch, debian::apt::Apt, paths, refused, say, setup};
use flavour::Flavour;
pub(crate) use lock::{Locked, Package};

/// What to do about the kernels.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Show the kernels: exact release, whether fetched, whether its modules are to be had
    List,
    /// Write the newest release of every series into xtask/kernels.lock
    Update,
    /// Bring a series into the lab: lock its newest release, boot it, write its facts, say what changed
    Add {
        /// Such as 7.4, 7.4-arm64, 7.4-generic for the kernel with every driver, or 7.4-rt for the one of real time; one that
        /// is there already is renewed
        series: String,
    },
    /// Fetch kernels ahead of their first use
    Fetch {
        /// Series, such as 6.12; all of them if none is named
        series: Vec<String>,
    },
}

pub(crate) fn verb(options: &Options) -> anyhow::Result<()> {
    match &options.verb {
        Verb::List => list(),
        Verb::Update => update(),
        Verb::Add { series } => add::add(series),
        Verb::Fetch { series } if series.is_empty() => fetch(&self::series()?),
        Verb::Fetch { series } => fetch(series),
    }
}

/// Prints one line per kernel.
pub(crate) fn list() -> anyhow::Result<()> {
    println!(
        "{:<11} {:<34} {:<20} {:<8} modules",
        "series", "release", "package version", "fetched"
    );
    for locked in lock::read()? {
        let fetched = if store::kept(&locked).is_some() {
            "yes"
        } else {
            "no"
        };
        let modules = if locked.has_modules() { "yes" } else { "no" };
        let version = locked
            .packages
            .first()
            .map_or("", |package| &package.version);
        println!(
            "{:<11} {:<34} {:<20} {fetched:<8} {modules}",
            locked.series, locked.release, version
        );
    }
    Ok(())
}

/// Every kernel that the project supports, oldest first: those of the lock that have facts of their own.
pub(crate) fn series() -> anyhow::Result<Vec<String>> {
    let series = lock::read()?.into_iter().map(|it| it.series);
    let mut series: Vec<_> = series
        .filter(|it| Flavour::of_kernel(it).has_facts())
        .collect();
    series.sort_by_key(|it| order(it));
    Ok(series)
}

/// Every kernel of the lock, also those that are booted only when they are named.
pub(crate) fn every_series() -> anyhow::Result<Vec<String>> {
    Ok(lock::read()?.into_iter().map(|it| it.series).collect())
}

/// By which kernels are sorted: by architecture, then `6.9` before `6.12`, and that before `6.12-rt`.
pub(crate) fn order(series: &str) -> (Arch, Vec<u32>, Flavour) {
    let numbers = numbers(series)
        .split('.')
        .map(|number| number.parse().unwrap_or(u32::MAX));
    (
        Arch::of_kernel(series),
        numbers.collect(),
        Flavour::of_kernel(series),
    )
}

/// `6.12` of a kernel's name, whatever its architecture and flavour.
pub(crate) fn numbers(series: &str) -> &str {
    series
        .split_once('-')
        .map_or(series, |(numbers, _)| numbers)
}

/// The lock's entry for a series that a person named.
pub(crate) fn locked(series: &str) -> anyhow::Result<Locked> {
    let all = lock::read()?;
    let names: Vec<_> = all.iter().map(|locked| locked.series.clone()).collect();
    all.into_iter()
        .find(|locked| locked.series == series)
        .ok_or_else(|| {
            refused(format!(
                "there is no kernel {series}; the lab has {}",
                names.join(", ")
            ))
        })
}

fn fetch(series: &[impl AsRef<str>]) -> anyhow::Result<()> {
    let wanted: Vec<_> = series
        .iter()
        .map(|series| locked(series.as_ref()))
        .collect::<anyhow::Result<_>>()?;
    wanted
        .iter()
        .try_for_each(|locked| store::bring(locked).map(drop))
}

fn update() -> anyhow::Result<()> {
    let _only_one = setup::lock()?;
    let mut now = Vec::new();
    for old in lock::read()? {
        let series = &old.series;
        Apt::ready(Arch::of_kernel(series))?.update()?;
        let found = archive::newest(series)?;
        match &found {
            Some(new) if *new == old => {}
            Some(new) => say::step(
                "kernels",
                format_args!("{series}: {} instead of {}", new.release, old.release),
            ),
            None => say::step(
                "kernels",
                format_args!("{series}: the archive has none any more"),
            ),
        }
        now.push(found.unwrap_or(old));
    }
    lock::write(&now)
}

fn folder(series: &str) -> PathBuf {
    paths::target().join("kernels").join(series)
}
