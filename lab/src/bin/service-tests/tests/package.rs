//! The Debian package from its installation to its purge, as dpkg does it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};

use crate::programs;
use crate::service::{PATIENCE, UNIT, main_pid, running, scrape};
use crate::systemd::{property, run, systemctl};
use crate::wait::{Look, until};

/// The package, and one of a later revision.
#[derive(Clone, Debug)]
pub(crate) struct Packages {
    pub(crate) first: PathBuf,
    pub(crate) later: PathBuf,
}

const SETTINGS: &str = "/etc/pinscope/pinscope.toml";
const BINARY: &str = "/usr/bin/pinscope";

/// What may not keep a trace of it.
const TREES: [&str; 7] = [
    "/etc",
    "/home",
    "/opt",
    "/run/systemd/system",
    "/srv",
    "/usr",
    "/var/lib",
];

/// Except for this, in which dpkg records what it did.
const RECORDS: &str = "/var/lib/dpkg";

/// Files before the package came.
static BEFORE: OnceLock<BTreeSet<PathBuf>> = OnceLock::new();

pub(super) fn installing_it_starts_it_and_enables_it(packages: &Packages) -> Result<()> {
    BEFORE.get_or_init(|| {
        let mut found = BTreeSet::new();
        TREES
            .iter()
            .for_each(|tree| collect(Path::new(tree), &mut found));
        found
    });
    install(&packages.first)?;
    let state = property(UNIT, "ActiveState")?;
    ensure!(state == "active", "installed, it is {state}");
    let enabled = property(UNIT, "UnitFileState")?;
    ensure!(enabled == "enabled", "installed, it is {enabled}");
    scrape().map(drop)
}

pub(super) fn links_in_its_pages_lead_somewhere(_packages: &Packages) -> Result<()> {
    let files = run("dpkg", &["--listfiles", "pinscope"])?;
    let mut links = 0;
    for page in files.lines().filter(|it| it.ends_with(".md")) {
        let text = fs::read_to_string(page)?;
        let folder = Path::new(page).parent().context("a page is in a folder")?;
        let after_words = text.split("](").skip(1);
        for (link, _) in after_words.filter_map(|it| it.split_once(')')) {
            let path = link.split('#').next().unwrap_or_default();
            let is_here = path.contains(':') || folder.join(path).exists();
            ensure!(is_here, "{page}: {link} is not there");
            links += 1;
        }
    }
    ensure!(links > 10, "its pages have {links} links");
    Ok(())
}

/// As docs/operating.md has it, for kernels on which fentry does not serve every hook.
pub(super) fn its_sysctl_file_is_taken_as_it_is(_packages: &Packages) -> Result<()> {
    let place = "/etc/sysctl.d/50-pinscope.conf";
    run(
        "install",
        &["-m", "644", "/usr/share/pinscope/sysctl.conf", place],
    )?;
    run("sysctl", &["--quiet", "--load", place])?;
    let found = run("sysctl", &["--values", "kernel.perf_event_paranoid"])?;
    ensure!(found.trim() == "2", "kernel.perf_event_paranoid is {found}");
    // The package's purge leaves alone what an operator has made.
    fs::remove_file(place).map_err(Into::into)
}

pub(super) fn an_upgrade_keeps_settings_and_starts_the_new_one(packages: &Packages) -> Result<()> {
    let before = running()?;
    let mut settings = fs::read_to_string(SETTINGS)?;
    settings += "suspect-after = \"2h\"\n";
    fs::write(SETTINGS, &settings)?;
    install(&packages.later)?;
    let version = run(
        "dpkg-query",
        &["--show", "--showformat=${Version}", "pinscope"],
    )?;
    ensure!(version.ends_with("-2"), "{version} is installed");
    ensure!(main_pid()? != before, "the old one still runs");
    ensure!(
        fs::read_to_string(SETTINGS)? == settings,
        "{SETTINGS} was changed"
    );
    scrape().map(drop)
}

pub(super) fn what_an_operator_has_switched_off_stays_off(packages: &Packages) -> Result<()> {
    systemctl(&["disable", "--now", UNIT])?;
    install(&packages.later)?;
    let found = (
        property(UNIT, "ActiveState")?,
        property(UNIT, "UnitFileState")?,
    );
    systemctl(&["enable", UNIT])?;
    ensure!(
        found == ("inactive".to_owned(), "disabled".to_owned()),
        "after an upgrade it is {found:?}"
    );
    Ok(())
}

pub(super) fn removing_it_ends_it_and_keeps_its_settings(_packages: &Packages) -> Result<()> {
    running()?;
    run("dpkg", &["--remove", "pinscope"])?;
    until_it_is_gone()?;
    ensure!(!Path::new(BINARY).exists(), "{BINARY} is left");
    ensure!(Path::new(SETTINGS).exists(), "{SETTINGS} is gone");
    ensure!(
        systemctl(&["start", UNIT]).is_err(),
        "it can still be started"
    );
    Ok(())
}

pub(super) fn purging_it_leaves_nothing(_packages: &Packages) -> Result<()> {
    run("dpkg", &["--purge", "pinscope"])?;
    until_it_is_gone()?;
    let before = BEFORE.get().context("it was not installed here")?;
    let mut after = BTreeSet::new();
    TREES
        .iter()
        .for_each(|tree| collect(Path::new(tree), &mut after));
    let left: Vec<_> = after.difference(before).collect();
    ensure!(left.is_empty(), "left behind: {left:?}");
    let state = property(UNIT, "LoadState")?;
    ensure!(state == "not-found", "systemd still has it: {state}");
    for list in ["passwd", "group"] {
        let names = run("getent", &[list])?;
        ensure!(!names.contains("pinscope"), "{list} has a pinscope");
    }
    Ok(())
}

fn install(package: &Path) -> Result<()> {
    let package = package.to_str().context("a package has a plain name")?;
    run("dpkg", &["--install", package]).map(drop)
}

/// From the processes and from the kernel, which takes programs down a little later.
fn until_it_is_gone() -> Result<()> {
    until("the end of its programs", PATIENCE, || {
        let left = programs::tracing()?;
        Ok(if left.is_empty() {
            Look::Done(())
        } else {
            Look::NotYet(format!("{} BPF programs trace", left.len()))
        })
    })?;
    let run = Path::new("/run/pinscope");
    ensure!(!run.exists(), "{} is left", run.display());
    Ok(())
}

fn collect(tree: &Path, found: &mut BTreeSet<PathBuf>) {
    // What is not there, or goes while it is read, leaves nothing either.
    let Ok(entries) = fs::read_dir(tree) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.starts_with(RECORDS) {
            continue;
        }
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect(&path, found);
        }
        found.insert(path);
    }
}
