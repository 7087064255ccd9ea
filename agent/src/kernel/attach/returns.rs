//! kretprobes with room for many calls at once.
//!
//! The kernel keeps what it needs for a return in instances that are made when the
//! probe is, and a call that finds none left is not seen to return. A perf event
//! cannot say how many there are to be: it gets one for each CPU on some kernels and
//! twice as many on others, and calls that take user pages sleep. tracefs can, and
//! the program is attached to the event that is made there. Where tracefs is not
//! ours to write, the perf event has to do.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    mem,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    process,
};

use aya::programs::KProbe;
use aya_obj::generated::{
    PERF_EVENT_IOC_ENABLE, PERF_EVENT_IOC_SET_BPF, bpf_attach_type, bpf_attr, bpf_cmd,
    perf_event_attr, perf_type_id,
};
use log::{debug, info};

use crate::kernel::facts::{self, bpf};

/// Calls of one function that may be under way at once.
const INSTANCES: u32 = 512;

/// Our events' group: nobody else's.
const GROUP: &str = "pinscope";

const EVENTS: &str = "kprobe_events";

/// What makes such probes.
pub(super) struct Returns {
    /// Where tracefs is; `None` where it is of no use.
    tracefs: Option<PathBuf>,
    made: Vec<Event>,
}

/// An event of ours, gone with this.
struct Event {
    tracefs: PathBuf,
    name: String,
    /// Closed before the event is taken away.
    attached: Option<Attached>,
}

/// The program runs for as long as this is open.
struct Attached {
    _link: Option<OwnedFd>,
    _event: OwnedFd,
}

impl Returns {
    /// Looks for tracefs, and takes away what agents left there that were killed.
    pub(super) fn new(cpus: u32) -> Self {
        let mut this = Self {
            tracefs: None,
            made: Vec::new(),
        };
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

    /// Attaches a loaded program to the returns of `symbol`. False where that has to
    /// be done in the usual way.
    pub(super) fn attach(&mut self, program: &KProbe, symbol: &str) -> bool {
        let Some(tracefs) = &self.tracefs else {
            return false;
        };
        let made = Event::make(tracefs, symbol).and_then(|mut event| {
            let program = program.fd().map_err(io::Error::other)?;
            event.attached = Some(attach(tracefs, &event.name, program.as_fd())?);
            Ok(event)
        });
        match made {
            Ok(event) => {
                self.made.push(event);
                true
            }
            Err(error) => {
                debug!("{symbol}: no kretprobe by tracefs: {error}");
                false
            }
        }
    }
}

impl Event {
    fn make(tracefs: &Path, symbol: &str) -> io::Result<Self> {
        let name = format!("r{}_{}", process::id(), symbol.replace('.', "_"));
        tell(tracefs, &format!("r{INSTANCES}:{GROUP}/{name} {symbol}"))?;
        Ok(Self {
            tracefs: tracefs.to_owned(),
            name,
            attached: None,
        })
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        drop(self.attached.take());
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
    tell(tracefs, &format!("-:{GROUP}/{name}"))
}

/// Appends: to open the file otherwise would take everybody's events away.
fn tell(tracefs: &Path, what: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).open(tracefs.join(EVENTS))?;
    file.write_all(what.as_bytes())
}

fn attach(tracefs: &Path, name: &str, program: BorrowedFd<'_>) -> io::Result<Attached> {
    let id = tracefs.join("events").join(GROUP).join(name).join("id");
    let id = fs::read_to_string(id)?;
    // SAFETY: plain integers, for which zero is a value.
    let mut about: perf_event_attr = unsafe { mem::zeroed() };
    about.size = size_of::<perf_event_attr>() as u32;
    about.type_ = perf_type_id::PERF_TYPE_TRACEPOINT as u32;
    about.config = id.trim().parse().map_err(io::Error::other)?;
    let event = facts::open_perf_event(&about)?;
    // SAFETY: plain integers, for which zero is a value.
    let mut wanted: bpf_attr = unsafe { mem::zeroed() };
    wanted.link_create.__bindgen_anon_1.prog_fd = program.as_raw_fd().cast_unsigned();
    wanted.link_create.__bindgen_anon_2.target_fd = event.as_raw_fd().cast_unsigned();
    wanted.link_create.attach_type = bpf_attach_type::BPF_PERF_EVENT as u32;
    // A link tells what it missed; before Linux 5.15 there is none.
    let link = bpf(bpf_cmd::BPF_LINK_CREATE, &wanted).ok();
    if link.is_none() {
        control(&event, PERF_EVENT_IOC_SET_BPF, program.as_raw_fd())?;
    }
    control(&event, PERF_EVENT_IOC_ENABLE, 0)?;
    Ok(Attached {
        _link: link,
        _event: event,
    })
}

fn control(event: &OwnedFd, request: u32, argument: i32) -> io::Result<()> {
    // SAFETY: both requests take a number only.
    let failed = unsafe { libc::ioctl(event.as_raw_fd(), request.into(), argument) };
    if failed == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
