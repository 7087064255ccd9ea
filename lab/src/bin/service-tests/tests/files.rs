//! Files whose pages are pinned: named as they are on the host, not as the unit lets the agent see it.

use std::fs;

use anyhow::{Result, ensure};

use crate::holders::{ask, until_nothing_is_held};
use crate::service::running;
use crate::systemd::run;
use crate::workload::Workload;

/// File systems of their own, two of them below what the unit hides.
const PLACES: [&str; 3] = ["/home/alice/own", "/tmp/own", "/srv/own"];

pub(super) fn a_file_has_the_path_that_it_has_on_the_host() -> Result<()> {
    for place in PLACES {
        fs::create_dir_all(place)?;
        run("mount", &["-t", "tmpfs", "-o", "mode=1777", "own", place])?;
    }
    let checked = running().and_then(|_pid| check());
    for place in PLACES {
        run("umount", &[place])?;
        fs::remove_dir(place)?;
    }
    checked
}

fn check() -> Result<()> {
    let mut wrong = Vec::new();
    for place in PLACES {
        let file = format!("{place}/pinned");
        let mut pins = Workload::file_pins(&file)?;
        let pages = pins.reach("held")?;
        let report = ask("file")?;
        let [row] = report.rows.as_slice() else {
            anyhow::bail!("pages of one file are pinned: {report:?}");
        };
        ensure!(row.pins() == pages, "{pages} pages of it: {report:?}");
        let named = row.about["file"]["file"]["path"].as_str();
        if named != Some(&file) {
            wrong.push(format!("{file} is {named:?}"));
        }
        pins.finish()?;
        until_nothing_is_held()?;
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("; "));
    Ok(())
}
