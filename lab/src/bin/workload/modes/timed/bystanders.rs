//! What those do who pin nothing: what an agent adds to it is what it costs everybody.

use std::os::unix::fs::FileExt as _;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use rustix::process::{WaitOptions, waitpid};

use crate::counts::Counts;
use crate::kernel::files::{self, WorkFile};
use crate::kernel::folios::Folios;
use crate::kernel::fork::{fork, leave};
use crate::kernel::mapping::Mapping;
use crate::session::Session;
use lab::page::page_bytes;

use super::Args;

/// `msync` of the pages, all dirty, a folio each; a walk counts as one operation.
pub(super) fn walk(args: &Args, session: &Session) -> Result<Counts> {
    let (_target, mapping) = mapped_file(args, session)?;
    let folios = Folios::behind(mapping.span())?;
    let mut counts = Counts::default();
    for _time in 0..args.times {
        counts.pages_dirtied += mapping.dirty(mapping.span(), 0xd1);
        let dirty = folios.dirty()?;
        let start = Instant::now();
        mapping.sync(mapping.span())?;
        counts.time(dirty, start);
        counts.syncs += 1;
        ensure!(folios.dirty()? == 0, "folios are dirty after msync");
        counts.walks_not_pinned += dirty;
    }
    Ok(counts)
}

/// `munmap` of pages of a file.
pub(super) fn unmap(args: &Args, session: &Session) -> Result<Counts> {
    let bytes = args.pages * page_bytes();
    let target = WorkFile::make(&session.dir, "target", bytes, files::Folios::Small)?;
    let mut counts = Counts::default();
    for _time in 0..args.times {
        let mapping = Mapping::shared(&target.file, bytes)?;
        mapping.touch(mapping.span());
        let start = Instant::now();
        drop(mapping);
        counts.time(1, start);
        counts.zaps += 1;
    }
    Ok(counts)
}

/// `munmap` of anonymous pages.
pub(super) fn unmap_anon(args: &Args) -> Result<Counts> {
    let mapped = || {
        let mapping = anonymous(args)?;
        mapping.dirty(mapping.span(), 1);
        Ok(mapping)
    };
    again_and_again(args, mapped, |mapping| {
        drop(mapping);
        Ok(())
    })
}

/// `MADV_DONTNEED` of anonymous pages.
pub(super) fn dont_need(args: &Args) -> Result<Counts> {
    let mapping = anonymous(args)?;
    let touched = || Ok(mapping.dirty(mapping.span(), 1));
    again_and_again(args, touched, |_pages| mapping.forget(mapping.span()))
}

/// Faults that give each of the pages a fresh one.
pub(super) fn fault(args: &Args) -> Result<Counts> {
    let mapping = anonymous(args)?;
    let gone = || mapping.forget(mapping.span());
    again_and_again(args, gone, |()| {
        mapping.dirty(mapping.span(), 1);
        Ok(())
    })
}

/// `fork()` of a process with that many anonymous pages, and the end of the child.
pub(super) fn fork_and_exit(args: &Args) -> Result<Counts> {
    let mapping = anonymous(args)?;
    let touched = || Ok(mapping.dirty(mapping.span(), 1));
    again_and_again(args, touched, |_pages| {
        let Some(child) = fork()? else { leave() };
        waitpid(Some(child), WaitOptions::empty())?;
        Ok(())
    })
}

/// `true` executed in a new process.
pub(super) fn execute(args: &Args) -> Result<Counts> {
    again_and_again(
        args,
        || Ok(()),
        |()| {
            let status = Command::new("/bin/true").status().context("/bin/true")?;
            ensure!(status.success(), "/bin/true ended with {status}");
            Ok(())
        },
    )
}

/// `write` and `fsync` of pages that nobody has mapped.
pub(super) fn write_and_sync(args: &Args, session: &Session) -> Result<Counts> {
    let bytes = args.pages * page_bytes();
    let target = WorkFile::make(&session.dir, "target", bytes, files::Folios::Small)?;
    let text = vec![0xd1; bytes];
    again_and_again(
        args,
        || Ok(()),
        |()| {
            target.file.write_all_at(&text, 0)?;
            Ok(target.file.sync_all()?)
        },
    )
}

/// `MADV_PAGEOUT` of clean pages of a file.
pub(super) fn page_out(args: &Args, session: &Session) -> Result<Counts> {
    let (_target, mapping) = mapped_file(args, session)?;
    mapping.sync(mapping.span())?;
    let touched = || {
        mapping.touch(mapping.span());
        Ok(())
    };
    again_and_again(args, touched, |()| mapping.page_out(mapping.span()))
}

/// Makes ready and does it, as often as asked for; only what is done is timed.
fn again_and_again<T>(
    args: &Args,
    make_ready: impl Fn() -> Result<T>,
    operation: impl Fn(T) -> Result<()>,
) -> Result<Counts> {
    let mut counts = Counts::default();
    for _time in 0..args.times {
        let ready = make_ready()?;
        let start = Instant::now();
        operation(ready)?;
        counts.time(1, start);
    }
    Ok(counts)
}

fn anonymous(args: &Args) -> Result<Mapping> {
    Mapping::anonymous(args.pages * page_bytes())
}

/// A file, with all of its pages mapped.
fn mapped_file(args: &Args, session: &Session) -> Result<(WorkFile, Mapping)> {
    let bytes = args.pages * page_bytes();
    let target = WorkFile::make(&session.dir, "target", bytes, files::Folios::Small)?;
    let mapping = Mapping::shared(&target.file, bytes)?;
    mapping.touch(mapping.span());
    Ok((target, mapping))
}
