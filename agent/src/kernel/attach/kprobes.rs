//! Attaching kprobes and kretprobes, with links by which the kernel tells what they missed. aya
//! attaches them, too, and keeps the links to itself.
//!
//! A kretprobe gets room for many calls at once. The kernel keeps what it needs for a return in
//! instances that are made when the probe is, and a call that finds none left is not seen to
//! return. A perf event cannot say how many there are to be: it gets one for each CPU on some
//! kernels and twice as many on others, and calls that take user pages sleep. tracefs can, and
//! the program is attached to the event that is made there. Where tracefs is not ours to write,
//! the perf event has to do.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    process,
};

use aya_obj::generated::{bpf_link_type, bpf_perf_event_type};
use log::{debug, info};

use crate::kernel::{
    facts,
    sys::{
        bpf,
        perf::{self, End},
    },
};

/// Calls of one function that may be under way at once.
const INSTANCES: u32 = 2048;

/// Our events' group: nobody else's.
const GROUP: &str = "pinscope";

const EVENTS: &str = "kprobe_events";

/// What attaches them.
pub(super) struct Kprobes {
    /// Where tracefs is; `None` where it is of no use.
    tracefs: Option<PathBuf>,
}

/// A probe with its program, which runs for as long as this lives. Closed in this order.
pub(super) struct Attached {
    /// It tells what was missed; before Linux 5.15 there is none.
    link: Option<OwnedFd>,
    _event: OwnedFd,
    _made: Option<Made>,
}

/// An event of ours in tracefs, gone with this.
pub(super) struct Made {
    tracefs: PathBuf,
    name: String,
}

impl Kprobes {
    /// Looks for tracefs, and takes away what agents left there that were killed.
    pub(super) fn new(cpus: u32) -> Self {
        let mut this = Self { tracefs: None };
        // There is an instance for each CPU, whatever the kernel.
        if cpus >= INSTANCES {
            return this;
        }
        let Some(tracefs) = facts::tracefs() else {
            return this;
        };
        match clean(tracefs) {
            Ok(()) => this.tracefs = Some(tracefs.to_owned()),
            Err(error) => info!(
                "{}: {error}; of a function that a kprobe sees return, no more calls may be under way \
                 at once than the kernel has room for (others show as return_missed)",
                tracefs.join(EVENTS).display()
            ),
        }
        this
    }

    /// Attaches a loaded program to one end of a function.
    pub(super) fn attach(&self, program: impl AsFd, symbol: &str, at: End) -> io::Result<Attached> {
        if at == End::Return
            && let Some(tracefs) = &self.tracefs
        {
            match with_instances(tracefs, program.as_fd(), symbol) {
                Ok(attached) => return Ok(attached),
                Err(error) => debug!("{symbol}: no kretprobe by tracefs: {error}"),
            }
        }
        let event = perf::open_kprobe(symbol, at)?;
        Attached::new(program, event, None)
    }
}

impl Attached {
    pub(super) fn new(program: impl AsFd, event: OwnedFd, made: Option<Made>) -> io::Result<Self> {
        let link = bpf::link_perf_event(&program, &event).ok();
        if link.is_none() {
            perf::set_program(&event, &program)?;
        }
        perf::enable(&event)?;
        Ok(Self {
            link,
            _event: event,
            _made: made,
        })
    }

    /// Calls that it was kept from (Linux 6.7).
    pub(super) fn missed(&self) -> u64 {
        self.link.as_ref().and_then(missed).unwrap_or(0)
    }
}

/// Calls that the kprobe below a link was kept from (Linux 6.7).
fn missed(link: &OwnedFd) -> Option<u64> {
    const KPROBES: [u32; 2] = [
        bpf_perf_event_type::BPF_PERF_EVENT_KPROBE as u32,
        bpf_perf_event_type::BPF_PERF_EVENT_KRETPROBE as u32,
    ];
    let info = bpf::link_info(link)?;
    if info.type_ != bpf_link_type::BPF_LINK_TYPE_PERF_EVENT as u32 {
        return None;
    }
    // SAFETY: the part of the union that a link of this type has, plain integers.
    let event = unsafe { info.__bindgen_anon_1.perf_event };
    if !KPROBES.contains(&event.type_) {
        return None;
    }
    // SAFETY: the same of an event of this type.
    Some(unsafe { event.__bindgen_anon_1.kprobe.missed })
}

/// By an event of tracefs.
fn with_instances(tracefs: &Path, program: impl AsFd, symbol: &str) -> io::Result<Attached> {
    let made = Made::new(tracefs, symbol)?;
    let id = tracefs
        .join("events")
        .join(GROUP)
        .join(&made.name)
        .join("id");
    let id = fs::read_to_string(id)?;
    let event = perf::open_tracepoint(id.trim().parse().map_err(io::Error::other)?)?;
    Attached::new(program, event, Some(made))
}

impl Made {
    fn new(tracefs: &Path, symbol: &str) -> io::Result<Self> {
        let name = format!("r{}_{}", process::id(), symbol.replace('.', "_"));
        write(tracefs, &format!("r{INSTANCES}:{GROUP}/{name} {symbol}"))?;
        Ok(Self {
            tracefs: tracefs.to_owned(),
            name,
        })
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.tracefs, &self.name) {
            debug!("{}: {error}; the next agent takes it away", self.name);
        }
    }
}

/// Takes away events of ours that nothing uses: the kernel refuses to let go of
/// those that another agent has.
fn clean(tracefs: &Path) -> io::Result<()> {
    let group = format!(":{GROUP}/");
    for line in fs::read_to_string(tracefs.join(EVENTS))?.lines() {
        let Some((_, rest)) = line.split_once(&group) else {
            continue;
        };
        let name = rest.split_whitespace().next().unwrap_or_default();
        match remove(tracefs, name) {
            Ok(()) => debug!("{name} was left over"),
            Err(error) => debug!("{name} is in use: {error}"),
        }
    }
    // Whether it may be written, too.
    OpenOptions::new().append(true).open(tracefs.join(EVENTS))?;
    Ok(())
}

fn remove(tracefs: &Path, name: &str) -> io::Result<()> {
    write(tracefs, &format!("-:{GROUP}/{name}"))
}

/// Appends: to open the file otherwise would take everybody's events away.
fn write(tracefs: &Path, what: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).open(tracefs.join(EVENTS))?;
    file.write_all(what.as_bytes())
}
