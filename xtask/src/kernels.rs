//! The lab's kernels: which there are, what the lock file pins, and keeping them under `target/kernels`.
//! Leaves out booting them.

mod archive;
mod lock;
pub(crate) mod modules;
pub(crate) mod store;

use std::path::PathBuf;

use clap::Subcommand;

use crate::{debian::apt::Apt, paths, refused, say, setup};
pub(crate) use lock::{Locked, Package};

/// Every series that the project supports, oldest first.
pub(crate) const SERIES: [&str; 11] = [
    "5.10", "6.1", "6.12", "6.16", "6.17", "6.18", "6.19", "7.0", "7.1", "7.2", "7.3",
];

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
        Verb::Fetch { series } if series.is_empty() => fetch(&SERIES),
        Verb::Fetch { series } => fetch(series),
    }
}

/// Prints one line per kernel.
pub(crate) fn list() -> anyhow::Result<()> {
    println!(
        "{:<7} {:<34} {:<20} {:<8} modules",
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
            "{:<7} {:<34} {:<20} {fetched:<8} {modules}",
            locked.series, locked.release, version
        );
    }
    Ok(())
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
    let apt = Apt::ready()?;
    apt.update()?;
    let before = lock::read().unwrap_or_default();
    let mut now = Vec::new();
    for series in SERIES {
        let old = before.iter().find(|locked| locked.series == series);
        let found = archive::newest(&apt, series)?;
        match (old, &found) {
            (Some(old), Some(new)) if old == new => {}
            (Some(old), Some(new)) => {
                say::step(
                    "kernels",
                    format_args!("{series}: {} instead of {}", new.release, old.release),
                );
            }
            (None, Some(new)) => say::step("kernels", format_args!("{series}: {}", new.release)),
            (_, None) => say::step(
                "kernels",
                format_args!("{series}: the archive has none any more"),
            ),
        }
        now.extend(found.or_else(|| old.cloned()));
    }
    lock::write(&now)
}

fn folder(series: &str) -> PathBuf {
    paths::target().join("kernels").join(series)
}
