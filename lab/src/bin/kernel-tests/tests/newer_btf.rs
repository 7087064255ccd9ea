//! A kernel whose BTF is newer than the agent: the agent runs, its programs are attached, and its
//! totals are the kernel's. The kernel's own file, changed, is put in its place for the agent alone.

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::agent::{Agent, run_to_end};
use crate::bench::Bench;
use crate::caller::after_mounts;
use crate::holders::by_subsystem;
use crate::workload::Stepped;

const BTF: &str = "/sys/kernel/btf/vmlinux";
const HEADER: usize = 24;
const RECORD: usize = 12;

/// Kinds of `include/uapi/linux/btf.h`, and one that no kernel has.
const FORWARD: u32 = 7;
const NEW: u32 = 25;
/// Bytes behind a type of the new kind, which the layout section tells.
const BEHIND: usize = 20;

pub(super) fn btf_with_kinds_and_a_header_that_nobody_knows_is_read_all_the_same(
    bench: &Bench,
) -> Result<()> {
    let (newer, changed) = newer(&fs::read(BTF)?).context("the kernel's BTF ends too soon")?;
    ensure!(changed > 0, "the kernel's BTF has no forward declaration");
    let file = std::env::temp_dir().join("kernel-tests-btf");
    fs::write(&file, newer)?;
    let script = format!("mount --bind {} {BTF}", file.display());
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
    workload.finish()?;
    agent.end()?;
    fs::remove_file(file)?;
    Ok(())
}

/// With flags, a layout section, and a new kind in place of forward declarations; how many those are.
fn newer(btf: &[u8]) -> Option<(Vec<u8>, usize)> {
    let field = |at| word(btf, at).map(|it| it as usize);
    let start = field(4)?;
    let part = |at| btf.get(start + field(at)?..)?.get(..field(at + 4)?);
    let (mut rest, strings) = (part(8)?, part(16)?);
    let mut types = Vec::new();
    let mut changed = 0;
    while !rest.is_empty() {
        let info = word(rest, 4)?;
        let (kind, members) = (info >> 24 & 0x7f, (info & 0xff_ffff) as usize);
        let (this, next) = rest.split_at_checked(RECORD + behind(kind, members)?)?;
        if kind == FORWARD {
            types.extend(&this[..4]);
            types.extend((NEW << 24).to_ne_bytes());
            types.extend(&this[8..]);
            types.extend([0xff; BEHIND]);
            changed += 1;
        } else {
            types.extend(this);
        }
        rest = next;
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

/// Bytes behind the record of a type.
fn behind(kind: u32, members: usize) -> Option<usize> {
    Some(match kind {
        1 | 14 | 17 => 4,
        3 => 12,
        4 | 5 | 15 | 19 => 12 * members,
        6 | 13 => 8 * members,
        2 | 7..=12 | 16 | 18 => 0,
        _ => return None,
    })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..at + 4)?;
    Some(u32::from_ne_bytes(word.try_into().ok()?))
}
