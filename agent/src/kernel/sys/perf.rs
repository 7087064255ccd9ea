//! `perf_event_open(2)`, and what is done with an event.

use std::{
    ffi::CString,
    fs, io, mem,
    os::fd::{AsFd, OwnedFd},
};

use aya_obj::generated::{
    PERF_EVENT_IOC_DISABLE, PERF_EVENT_IOC_ENABLE, PERF_EVENT_IOC_SET_BPF, PERF_FLAG_FD_CLOEXEC,
    perf_event_attr, perf_type_id,
};

use super::call::{ioctl, owned};

/// Where the kernel says what is special to the perf events that are kprobes.
const KPROBES: &str = "/sys/bus/event_source/devices/kprobe";

/// Of whom and where an event is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scope {
    /// Every process. A program that is attached runs on every CPU.
    Everybody,
    /// This thread alone, wherever it runs.
    ThisThread,
}

/// Attributes of an event of this type, nothing else set.
pub(crate) fn attributes(kind: u32, config: u64) -> perf_event_attr {
    // SAFETY: plain integers, for which zero is a value.
    let mut attributes: perf_event_attr = unsafe { mem::zeroed() };
    attributes.size = size_of::<perf_event_attr>() as u32;
    attributes.type_ = kind;
    attributes.config = config;
    attributes
}

/// Opens an event. What the attributes point to has to outlive the call.
pub(crate) fn open(attributes: &perf_event_attr, scope: Scope) -> io::Result<OwnedFd> {
    let (process, cpu) = match scope {
        Scope::Everybody => (-1, 0),
        Scope::ThisThread => (0, -1),
    };
    let no_group = -1;
    // SAFETY: the kernel reads the structure and what it points to, which outlive the call.
    owned(unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            &raw const *attributes,
            process,
            cpu,
            no_group,
            libc::c_ulong::from(PERF_FLAG_FD_CLOEXEC),
        )
    })
}

/// Opens a kprobe on a function, or one on its returns.
pub(crate) fn open_kprobe(function: &str, at: End) -> io::Result<OwnedFd> {
    let kind = fs::read_to_string(format!("{KPROBES}/type"))?;
    let kind = kind.trim().parse().map_err(io::Error::other)?;
    let config = match at {
        End::Entry => 0,
        End::Return => 1 << return_bit()?,
    };
    let name = CString::new(function)?;
    let mut attributes = attributes(kind, config);
    attributes.__bindgen_anon_3.kprobe_func = name.as_ptr() as u64;
    open(&attributes, Scope::Everybody)
}

/// Which end of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Entry,
    Return,
}

/// The bit of `config` that makes it a probe on returns.
fn return_bit() -> io::Result<u32> {
    let text = fs::read_to_string(format!("{KPROBES}/format/retprobe"))?;
    let bit = text.trim().strip_prefix("config:").unwrap_or_default();
    bit.parse().map_err(io::Error::other)
}

/// Opens the event of tracefs with this number.
pub(crate) fn open_tracepoint(id: u64) -> io::Result<OwnedFd> {
    let kind = perf_type_id::PERF_TYPE_TRACEPOINT as u32;
    open(&attributes(kind, id), Scope::Everybody)
}

/// Has the program run at every event.
pub(crate) fn set_program(event: impl AsFd, program: impl AsFd) -> io::Result<()> {
    use std::os::fd::AsRawFd as _;
    let program = program.as_fd().as_raw_fd();
    control(
        event,
        PERF_EVENT_IOC_SET_BPF,
        program.cast_unsigned() as usize,
    )
}

/// From now on events count.
pub(crate) fn enable(event: impl AsFd) -> io::Result<()> {
    control(event, PERF_EVENT_IOC_ENABLE, 0)
}

/// And no longer.
pub(crate) fn disable(event: impl AsFd) -> io::Result<()> {
    control(event, PERF_EVENT_IOC_DISABLE, 0)
}

fn control(event: impl AsFd, request: u32, argument: usize) -> io::Result<()> {
    // SAFETY: these requests take a number only.
    unsafe { ioctl(event.as_fd(), request.into(), argument) }.map(drop)
}
