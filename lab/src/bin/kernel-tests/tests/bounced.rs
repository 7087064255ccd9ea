//! Direct I/O to a disk that checks what it is sent. The kernel copies such data (Linux 7.0) instead
//! of handing out pages that a program may still change: a write pins nothing, and a read pins its
//! pages until the data are copied back.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::process::Command;

use anyhow::{Result, bail, ensure};
use memmap2::MmapMut;

use crate::agent::Agent;
use crate::bench::Bench;
use crate::holders::check_sums;
use crate::moment;
use crate::wait::{Look, until};
use lab::page::page_bytes;

const PAGES: usize = 256;

const FOLDER: &str = "/mnt/checked";

/// A disk of the kernel's own, with checksums that the host makes (T10 protection information).
const DISK: &str =
    "rmmod scsi_debug; insmod /lab/modules/scsi_debug.ko dif=1 dix=1 guard=1 dev_size_mb=320";

const ACQUIRED: &str = "pinscope_pins_acquired_total";
const HELD: &str = "pinscope_hold_seconds_count";
const DIRECT_IO: (&str, &str) = ("subsystem", "direct_io");

pub(super) fn direct_io_to_a_disk_that_checks_pins_what_the_kernel_does_not_copy(
    bench: &Bench,
) -> Result<()> {
    let agent = bench.shared_agent(&[])?;
    let symbols = fs::read_to_string("/proc/kallsyms")?;
    let is_copied = symbols.contains(" bio_iov_iter_bounce\n");
    let _disk = Disk::new(bench)?;
    let mut memory = MmapMut::map_anon(PAGES * page_bytes())?;
    for (page, bytes) in memory.chunks_mut(page_bytes()).enumerate() {
        bytes.fill(page as u8);
    }
    let [mut acquired, mut held] = counts(&agent)?;
    for step in ["write", "read"] {
        if step == "write" {
            direct_file()?.write_all_at(&memory, 0)?;
            memory.fill(0xff);
        } else {
            direct_file()?.read_exact_at(&mut memory, 0)?;
        }
        let pages = match step == "write" && is_copied {
            true => 0,
            false => PAGES as i64,
        };
        // The first time that a call path is met, its name comes a moment later.
        until("the pins with their name", bench.patience, || {
            let [_, now] = counts(&agent)?;
            Ok(match now - held == pages {
                true => Look::Done(()),
                false => Look::NotYet(format!("{step}: {} of {pages}", now - held)),
            })
        })?;
        let now = counts(&agent)?;
        // The agent pins a page of its own now and then.
        let pinned = now[0] - acquired;
        ensure!(
            (pages..pages + PAGES as i64 / 2).contains(&pinned),
            "a {step} pins {pages} pages, and {pinned} were"
        );
        [acquired, held] = now;
    }
    let is_whole = |(page, bytes): (usize, &[u8])| bytes.iter().all(|it| *it == page as u8);
    ensure!(
        memory.chunks(page_bytes()).enumerate().all(is_whole),
        "other data came back"
    );
    check_sums(bench, 0, "after both")
}

/// Pins so far, and those released that were direct I/O's.
fn counts(agent: &Agent) -> Result<[i64; 2]> {
    moment::has_passed();
    let now = agent.scrape()?;
    Ok([now.sum(ACQUIRED)?, now.sum_with(HELD, &[DIRECT_IO])])
}

fn direct_file() -> Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options.custom_flags(libc::O_DIRECT);
    Ok(options.open(format!("{FOLDER}/file"))?)
}

/// The disk with XFS on it, mounted until this is dropped.
struct Disk;

impl Disk {
    fn new(bench: &Bench) -> Result<Self> {
        shell(DISK)?;
        let disk = until("a disk with checksums", bench.patience, || {
            Ok(match checked_disk()? {
                Some(name) => Look::Done(name),
                None => Look::NotYet("none so far".to_owned()),
            })
        })?;
        let disk = format!(
            "mkfs.xfs -q -f /dev/{disk} && mkdir -p {FOLDER} && mount -t xfs /dev/{disk} {FOLDER}"
        );
        shell(&disk)?;
        Ok(Self)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The guest's other tests would tell.
        let _tests_tell = shell(&format!("umount {FOLDER}; rmmod scsi_debug"));
    }
}

fn checked_disk() -> Result<Option<String>> {
    for disk in fs::read_dir("/sys/block")? {
        let disk = disk?;
        let format = fs::read_to_string(disk.path().join("integrity/format"));
        let name = disk.file_name().to_string_lossy().into_owned();
        if format.is_ok_and(|it| it.starts_with("T10-DIF")) && fs::exists(format!("/dev/{name}"))? {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

fn shell(script: &str) -> Result<()> {
    let done = Command::new("sh").args(["-c", script]).output()?;
    if !done.status.success() {
        bail!("{script}: {}", String::from_utf8_lossy(&done.stderr));
    }
    Ok(())
}
