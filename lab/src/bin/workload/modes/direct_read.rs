//! Direct reads into memory, by default a shared mapping of another file, each followed by an
//! msync: the classic pin of a file page. Nothing is held longer than a read takes.

use std::fs::File;
use std::io::Error;
use std::os::fd::AsRawFd;
use std::thread::scope;

use anyhow::{Result, anyhow, ensure};

use crate::counts::Counts;
use crate::kernel::aio::Context;
use crate::kernel::files::{Folios, WorkFile};
use crate::kernel::mapping::{Mapping, Span};
use crate::kernel::memory::{Kind, Memory};
use crate::kernel::uring::Ring;
use crate::kernel::uring_queue::Queues;
use crate::session::Session;
use lab::page::page_bytes;
use lab::pin_counters::PinCounters;

/// By which system calls a read is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Engine {
    /// `pread`.
    Pread,
    /// `io_submit` and `io_getevents`, which libaio calls.
    Aio,
    /// An io_uring.
    Uring,
}

/// How much, and by how many.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Reads of each thread.
    #[arg(long, default_value_t = 100)]
    pub(crate) reads: usize,
    /// Pages that one read fills.
    #[arg(long, default_value_t = 16)]
    pub(crate) pages: usize,
    /// Threads, each with its own part of the mapping.
    #[arg(long, default_value_t = 1)]
    pub(crate) threads: usize,
    /// Reads between two msync calls; 0 for none.
    #[arg(long, default_value_t = 1)]
    pub(crate) sync_every: usize,
    /// By which system calls.
    #[arg(long, value_enum, default_value = "pread")]
    pub(crate) engine: Engine,
    /// What memory is read into.
    #[arg(long, value_enum, default_value = "file")]
    pub(crate) memory: Kind,
}

/// Phases: `ready` (nothing read yet), `read`. Asks the kernel's counters whether the reads pinned or only
/// referenced: before 6.3 direct I/O took `FOLL_GET`.
pub(crate) fn run(args: &Args, session: &Session) -> Result<Counts> {
    ensure!(
        args.pages > 0 && args.threads > 0,
        "--pages and --threads must be above 0"
    );
    let bytes = args.pages * page_bytes();
    let source = WorkFile::make(&session.dir, "source", bytes, Folios::Large)?;
    let memory = Memory::make(args.memory, &session.dir, bytes * args.threads)?;
    let mapping = &memory.mapping;
    session.pass("ready", &Counts::default())?;
    let before = PinCounters::read()?;
    let part = |number: usize| mapping.part(number * args.pages, args.pages);
    let mut counts: Counts = scope(|threads| {
        let others: Vec<_> = (1..args.threads)
            .map(|number| {
                let (source, part) = (&source, part(number));
                threads.spawn(move || read_and_sync(args, session, source, mapping, part))
            })
            .collect();
        // The first reads here: the end of a thread takes references, too, for its futex.
        let own = read_and_sync(args, session, &source, mapping, part(0));
        others
            .into_iter()
            .map(|reader| {
                reader
                    .join()
                    .map_err(|_panic| anyhow!("a reader panicked"))?
            })
            .chain([own])
            .sum::<Result<Counts>>()
    })?;
    settle_the_kind(&mut counts, PinCounters::read()? - before)?;
    session.pass("read", &counts)?;
    Ok(counts)
}

fn read_and_sync(
    args: &Args,
    session: &Session,
    source: &WorkFile,
    mapping: &Mapping,
    part: Span,
) -> Result<Counts> {
    let source = source.open_direct()?;
    let reader = Reader::new(args.engine)?;
    let mut counts = Counts::default();
    for number in 1..=args.reads {
        if session.over() {
            break;
        }
        reader.read(&source, part)?;
        counts.calls += 1;
        counts.reads += 1;
        counts.bytes_read += part.length as u64;
        if args.sync_every > 0 && number % args.sync_every == 0 {
            mapping.sync(part)?;
            counts.syncs += 1;
        }
    }
    Ok(counts)
}

/// What an engine needs.
enum Reader {
    Pread,
    Aio(Context),
    Uring(Box<Queues>),
}

impl Reader {
    fn new(engine: Engine) -> Result<Self> {
        match engine {
            Engine::Pread => Ok(Self::Pread),
            Engine::Aio => Ok(Self::Aio(Context::new()?)),
            Engine::Uring => Ok(Self::Uring(Box::new(Queues::of(Ring::new()?)?))),
        }
    }

    fn read(&self, source: &File, into: Span) -> Result<()> {
        let got = match self {
            Self::Pread => return read_direct(source, into),
            Self::Aio(context) => context.read(source, into)?,
            Self::Uring(queues) => queues.read(source, into)?,
        };
        ensure!(
            got == into.length,
            "a direct read gave {got} of {} bytes",
            into.length
        );
        Ok(())
    }
}

/// One read from the start of `source` that fills all of `into`.
pub(crate) fn read_direct(source: &File, into: Span) -> Result<()> {
    let buffer = into.address as *mut libc::c_void;
    // SAFETY: the kernel checks the range, and nobody has references into it.
    let got = unsafe { libc::pread(source.as_raw_fd(), buffer, into.length, 0) };
    ensure!(
        got >= 0,
        "a direct read of {} bytes failed: {}",
        into.length,
        Error::last_os_error()
    );
    ensure!(
        got.cast_unsigned() == into.length,
        "a direct read gave {got} of {} bytes",
        into.length
    );
    Ok(())
}

/// Books the pages of all reads as pins or as references, whichever the kernel took.
pub(crate) fn settle_the_kind(counts: &mut Counts, grown: PinCounters) -> Result<()> {
    let pages = counts.bytes_read / page_bytes() as u64;
    if grown.acquired >= pages {
        counts.pages_pinned += pages;
        counts.pages_released += pages;
    } else {
        // Others may pin a page now and then.
        ensure!(
            grown.acquired < pages / 2,
            "direct reads filled {pages} pages, but nr_foll_pin_acquired grew by {}",
            grown.acquired
        );
        counts.pages_referenced += pages;
        counts.pages_unreferenced += pages;
    }
    Ok(())
}
