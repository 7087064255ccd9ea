//! A kernel whose BTF is newer than the agent: the agent runs, its programs are attached, and its
//! totals are the kernel's. The kernel's own file, changed, is put in its place for the agent alone.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::agent::{Agent, run_to_end};
use crate::bench::Bench;
use crate::caller::after_mounts;
use crate::holders::by_subsystem;
use crate::workload::Stepped;
use lab::btf::{FORWARD, PLACE, parts};

const HEADER: usize = 24;

/// A kind that no kernel has.
const NEW: u32 = 25;
/// Bytes behind a type of the new kind, which the layout section tells.
const BEHIND: usize = 20;

pub(super) fn btf_with_kinds_and_a_header_that_nobody_knows_is_read_all_the_same(
    bench: &Bench,
) -> Result<()> {
    let (newer, changed) = newer(&fs::read(PLACE)?).context("the kernel's BTF ends too soon")?;
    ensure!(changed > 0, "the kernel's BTF has no forward declaration");
    let file = std::env::temp_dir().join("kernel-tests-btf");
    fs::write(&file, newer)?;
    let script = format!("mount --bind {} {PLACE}", file.display());
    let told = format!("passed over: flags 0x4, {changed} types of kind {NEW}");
    let doctor = run_to_end(bench, &["doctor", "--attach", &bench.attach], |command| {
        *command = after_mounts(command, &script);
    })?;
    ensure!(doctor.output.contains(&told), "{}", doctor.output);
    let agent = Agent::start_by(bench, &[], |command| {
        *command = after_mounts(command, &script);
    })?;
    ensure!(agent.has_logged(&told)?, "its log does not tell: {told}");
    let mut workload = Stepped::start(bench, &["uring-fixed", "--pages", "64"])?;
    let pages = workload.reach("held")?.pages_pinned;
    let report = by_subsystem(bench)?;
    ensure!(
        report.pins_of("subsystem", "io_uring_buffers") == pages && report.unreconciled_pins == 0,
        "io_uring has {pages}: {report:?}"
    );
    let mut witness = after_mounts(&Command::new("witness"), &script);
    let witnessed = witness.output()?;
    let found = String::from_utf8_lossy(&witnessed.stdout);
    ensure!(
        witnessed.status.success() && found.starts_with(&format!("{pages} pins ")),
        "the witness reads such types, too: {witnessed:?}"
    );
    workload.finish()?;
    agent.end()?;
    fs::remove_file(file)?;
    Ok(())
}

/// With flags, a layout section, and a new kind in place of forward declarations; how many those are.
fn newer(btf: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut parts = parts(btf)?;
    let strings = parts.strings;
    let mut types = Vec::new();
    let mut changed = 0;
    while !parts.types.is_empty() {
        let this = parts.take()?;
        if this.kind == FORWARD {
            types.extend(&this.bytes[..4]);
            types.extend((NEW << 24).to_ne_bytes());
            types.extend(&this.bytes[8..]);
            types.extend([0xff; BEHIND]);
            changed += 1;
        } else {
            types.extend(this.bytes);
        }
    }
    let mut layout = vec![0; 4 * (NEW as usize + 1)];
    layout[4 * NEW as usize] = BEHIND as u8;
    let words = [
        HEADER + 8,
        0,
        types.len(),
        types.len(),
        strings.len(),
        types.len() + strings.len(),
        layout.len(),
    ];
    // The magic and the version stay, and a flag that means nothing is set.
    let mut newer = btf.get(..3)?.to_vec();
    newer.push(4);
    newer.extend(words.into_iter().flat_map(|it| (it as u32).to_ne_bytes()));
    newer.extend(types);
    newer.extend(strings);
    newer.extend(layout);
    Some((newer, changed))
}
