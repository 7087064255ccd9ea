//! One operation again and again, with nothing beside it and the time of nothing else: what a probe adds to it,
//! in a guest whose clock counts instructions. It compares nothing.

mod bystanders;

use std::time::Instant;

use anyhow::{Result, ensure};

use crate::counts::Counts;
use crate::kernel::cross_memory::{Access, PAGES_AT_ONCE, pin_and_copy};
use crate::kernel::mapping::Mapping;
use crate::kernel::memory::{Kind, Memory};
use crate::session::Session;
use lab::page::page_bytes;

/// What is timed, and how much of it.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// The operation.
    #[arg(value_enum)]
    what: Operation,
    /// Pages of each operation.
    #[arg(long, default_value_t = 512)]
    pages: usize,
    /// Pages that the calls which pin go round over: what one costs depends on where its folio lies in tables.
    #[arg(long)]
    among: Option<usize>,
    /// What memory is pinned.
    #[arg(long, value_enum, default_value = "anon")]
    memory: Kind,
    /// How often.
    #[arg(long, default_value_t = 100)]
    times: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Operation {
    /// `process_vm_readv` that pins the pages and releases them.
    Pin,
    /// `msync` of the pages, all dirty, none pinned, a folio each; a walk counts as one operation.
    Walk,
    /// `munmap` of the pages of a file, all mapped.
    Unmap,
    /// `munmap` of anonymous pages.
    UnmapAnon,
    /// `MADV_DONTNEED` of anonymous pages.
    DontNeed,
    /// Faults that give each page a fresh one.
    Fault,
    /// `fork` of a process that has the pages, and the end of the child.
    Fork,
    /// `true` executed in a new process.
    Exec,
    /// `write` and `fsync` of the pages, which nobody has mapped.
    Write,
    /// `MADV_PAGEOUT` of clean pages of a file.
    PageOut,
}

/// Does it, and fills in what was timed.
pub(crate) fn run(args: &Args, session: &Session) -> Result<Counts> {
    ensure!(
        (1..=PAGES_AT_ONCE).contains(&args.pages),
        "--pages must be between 1 and {PAGES_AT_ONCE}"
    );
    match args.what {
        Operation::Pin => pin(args, session),
        Operation::Walk => bystanders::walk(args, session),
        Operation::Unmap => bystanders::unmap(args, session),
        Operation::UnmapAnon => bystanders::unmap_anon(args),
        Operation::DontNeed => bystanders::dont_need(args),
        Operation::Fault => bystanders::fault(args),
        Operation::Fork => bystanders::fork_and_exit(args),
        Operation::Exec => bystanders::execute(args),
        Operation::Write => bystanders::write_and_sync(args, session),
        Operation::PageOut => bystanders::page_out(args, session),
    }
}

fn pin(args: &Args, session: &Session) -> Result<Counts> {
    let among = args.among.unwrap_or(args.pages);
    ensure!(
        among >= args.pages && among.is_multiple_of(args.pages),
        "--among must be a multiple of --pages"
    );
    let memory = Memory::make(args.memory, &session.dir, among * page_bytes())?;
    let calls: Vec<_> = (0..among)
        .step_by(args.pages)
        .map(|first| memory.mapping.part(first, args.pages))
        .collect();
    let near = Mapping::anonymous(page_bytes())?;
    near.dirty(near.span(), 1);
    let mut counts = Counts::default();
    let pages = args.pages as u64;
    let start = Instant::now();
    for (far, _time) in calls.iter().cycle().zip(0..args.times) {
        pin_and_copy(Access::Read, near.span().address, *far)?;
    }
    counts.time(args.times, start);
    counts.calls = args.times;
    counts.pages_pinned = args.times * pages;
    counts.pages_released = args.times * pages;
    Ok(counts)
}
