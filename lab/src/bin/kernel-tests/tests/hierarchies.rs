//! Control groups of version 1 beside the unified hierarchy: their ids count for themselves, and
//! each is called by its own name.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::bench::Bench;
use crate::caller::after;
use crate::holders::{ask, until_pinned};
use crate::workload::Stepped;

const PAGES: i64 = 64;

/// Where the unified hierarchy is.
const UNIFIED: &str = "/sys/fs/cgroup";

/// As many of each, so that an id of one is an id of the other, too.
const DECOYS: usize = 12;

pub(super) fn a_cgroup_of_version_1_has_its_own_name_and_no_other_ones(
    bench: &Bench,
) -> Result<()> {
    bench.needs_an_agent()?;
    let tree = Tree::mount()?;
    let _agent = bench.shared_agent(&[])?;
    let mut decoys = Vec::new();
    for number in 0..DECOYS {
        decoys.push(Folder::make(
            Path::new(UNIFIED),
            &format!("innocent_{number}"),
        )?);
        decoys.push(Folder::make(&tree.at, &format!("idle_{number}"))?);
    }
    let guilty = Folder::make(&tree.at, "guilty")?;
    let pages = PAGES.to_string();
    let enter = format!("echo $$ > {}/cgroup.procs", guilty.0.display());
    let mut workload = Stepped::start_by(bench, &["uring-fixed", "--pages", &pages], |command| {
        *command = after(command, &enter);
    })?;
    workload.reach("held")?;
    // Who is charged is known where memory is in it.
    let ways: &[&str] = match tree.controller {
        "memory" => &["memcg", "cgroup"],
        _ => &["cgroup"],
    };
    for by in ways {
        let report = ask(bench, by, &[])?;
        let [row] = report.rows.as_slice() else {
            anyhow::bail!("one {by} pins: {report:?}");
        };
        let told = &row.about[*by];
        let is_of_version_1 = told["hierarchy"].as_u64().is_some_and(|it| it > 0);
        ensure!(
            row.pins.value == PAGES && told["path"] == "/guilty" && is_of_version_1,
            "{by} /guilty has {PAGES}: {report:?}"
        );
    }
    let report = ask(bench, "process", &[])?;
    let [row] = report.of_pid(workload.pid())[..] else {
        anyhow::bail!("one process pins: {report:?}");
    };
    ensure!(row.about["process"]["cgroup"] == "/guilty", "{row:?}");
    workload.finish()?;
    until_pinned(bench, 0)
}

/// A controller in a hierarchy of version 1, as long as this lives: that of memory, which newer kernels
/// are built without there, or else that of process ids.
struct Tree {
    controller: &'static str,
    at: PathBuf,
}

impl Tree {
    fn mount() -> Result<Self> {
        // Below the root of the unified one nobody may have it.
        let tight = Path::new(UNIFIED).join("tight");
        let _not_there = fs::remove_dir(tight);
        let _not_there = fs::write(Path::new(UNIFIED).join("cgroup.subtree_control"), "-memory");
        let at = std::env::temp_dir().join("version-1");
        fs::create_dir_all(&at)?;
        for controller in ["memory", "pids"] {
            let mounted = Command::new("mount")
                .args(["-t", "cgroup", "-o", controller, "none"])
                .arg(&at)
                .status()
                .context("mount cannot be started")?;
            if mounted.success() {
                return Ok(Self { controller, at });
            }
        }
        anyhow::bail!("neither controller can be had in a hierarchy of version 1")
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        // The guest's other tests would tell.
        let _tests_tell = Command::new("umount").arg(&self.at).status();
        let _tests_tell = fs::remove_dir(&self.at);
    }
}

/// A cgroup, as long as this lives.
struct Folder(PathBuf);

impl Folder {
    fn make(parent: &Path, name: &str) -> Result<Self> {
        let folder = parent.join(name);
        fs::create_dir(&folder).with_context(|| folder.display().to_string())?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _tests_tell = fs::remove_dir(&self.0);
    }
}
