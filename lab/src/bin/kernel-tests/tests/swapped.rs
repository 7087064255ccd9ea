//! Shared memory that is swapped: no walk of writeback ever meets it, so that what the swap cache
//! explains has no part in a verdict, and the census takes it for nobody's pin.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use memmap2::{MmapOptions, MmapRaw};
use rustix::fs::{MemfdFlags, memfd_create};

use crate::bench::Bench;
use crate::census::Census;
use crate::moment;
use lab::absent::absent;
use lab::page::page_bytes;

const PAGES: usize = 2048;

/// The kernel reads as many pages around one that is asked for (`vm.page-cluster`), which are in
/// the swap cache and in no file until somebody wants them.
const CLUSTER: usize = 8;

/// Pages that are read back, each with others around it that stay in the swap cache.
const READ_BACK: usize = PAGES / (2 * CLUSTER);

/// Walks that found something mapped.
const WALKS: &str = "pinscope_mkclean_walks_total";
const OUTCOMES: [&str; 3] = ["settled", "sampled", "passed_over"];

pub(super) fn shared_memory_in_the_swap_cache_is_met_by_no_walk_and_is_no_pin(
    bench: &Bench,
) -> Result<()> {
    let agent = bench.shared_agent(&[])?;
    bench.needs_hook("mkclean")?;
    let _swap = Swap::on(bench)?;
    let memory = File::from(memfd_create("kernel-tests-swapped", MemfdFlags::CLOEXEC)?);
    for page in 0..PAGES {
        memory.write_all_at(
            &vec![page as u8; page_bytes()],
            (page * page_bytes()) as u64,
        )?;
    }
    // A walk cleans entries of page tables.
    let mapped = MmapOptions::new().populate().map_raw(&memory)?;
    let walks = || -> Result<i64> {
        moment::has_passed();
        let now = agent.scrape()?;
        let of = |outcome| now.sum_with(WALKS, &[("outcome", outcome)]);
        Ok(OUTCOMES.into_iter().map(of).sum())
    };
    // What others have left to be cleaned.
    rustix::fs::sync();
    let (walked, swapped) = (walks()?, count("/proc/vmstat", "pswpout")?);
    page_out(&mapped)?;
    let swapped = count("/proc/vmstat", "pswpout")? - swapped;
    if swapped < PAGES as u64 / 2 {
        return Err(absent(format!(
            "the kernel has swapped {swapped} pages of {PAGES}"
        )));
    }
    let mut byte = [0];
    for page in (0..PAGES).step_by(PAGES / READ_BACK) {
        memory.read_exact_at(&mut byte, (page * page_bytes()) as u64)?;
        ensure!(byte[0] == page as u8, "page {page} is another one");
    }
    let cached = count("/proc/meminfo", "SwapCached:")?;
    if cached == 0 {
        return Err(absent("the kernel keeps nothing in the swap cache"));
    }
    Census::take(bench, &[])?.check(bench.witnessed()?)?;
    let walked = walks()? - walked;
    // Each page would have its own. What else is mapped in the guest may have a few.
    ensure!(walked < READ_BACK as i64 / 4, "{walked} walks met it");
    Ok(())
}

fn page_out(mapped: &MmapRaw) -> Result<()> {
    // SAFETY: the mapping lives, and what is swapped comes back when it is wanted.
    let failed =
        unsafe { libc::madvise(mapped.as_mut_ptr().cast(), mapped.len(), libc::MADV_PAGEOUT) };
    ensure!(
        failed == 0,
        "MADV_PAGEOUT: {}",
        std::io::Error::last_os_error()
    );
    Ok(())
}

/// A file to swap to, until this is dropped.
struct Swap(PathBuf);

impl Swap {
    fn on(bench: &Bench) -> Result<Self> {
        let file = bench.dir.join("swap");
        fs::write(&file, vec![0; 4 * PAGES * page_bytes()])?;
        File::open(&file)?.sync_all()?;
        let path = file.to_str().context("a path without strange bytes")?;
        run("mkswap", path)?;
        run("swapon", path)?;
        Ok(Self(file))
    }
}

impl Drop for Swap {
    fn drop(&mut self) {
        // The guest's other tests would tell.
        let _tests_tell = Command::new("swapoff").arg(&self.0).status();
        let _tests_tell = fs::remove_file(&self.0);
    }
}

fn run(program: &str, path: &str) -> Result<()> {
    let done = Command::new(program).arg(path).output()?;
    let said = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "{program} {path}: {said}");
    Ok(())
}

/// A count that a file of `/proc` has by name.
fn count(path: &str, name: &str) -> Result<u64> {
    let text = fs::read_to_string(path)?;
    let line = text.lines().find_map(|it| it.strip_prefix(name));
    let word = line.and_then(|it| it.split_whitespace().next());
    Ok(word
        .with_context(|| format!("{path} has no {name}"))?
        .parse()?)
}
