//! Opens a kprobe and closes it, to learn whether this process may. Leaves out why it may not.

use std::{
    ffi::CString,
    fs, io, mem,
    os::fd::{FromRawFd as _, OwnedFd},
};

use aya_obj::generated::perf_event_attr;

/// The kind of perf event that is a kprobe.
const KIND: &str = "/sys/bus/event_source/devices/kprobe/type";

/// `PERF_FLAG_FD_CLOEXEC`, include/uapi/linux/perf_event.h.
const CLOSE_ON_EXEC: libc::c_ulong = 8;

/// What attaching to `function` does, without a program.
pub(crate) fn open_kprobe(function: &str) -> io::Result<()> {
    let kind = fs::read_to_string(KIND)?;
    let name = CString::new(function)?;
    // SAFETY: plain integers, for which zero is a value.
    let mut event: perf_event_attr = unsafe { mem::zeroed() };
    event.size = size_of::<perf_event_attr>() as u32;
    event.type_ = kind.trim().parse().map_err(io::Error::other)?;
    event.__bindgen_anon_3.kprobe_func = name.as_ptr() as u64;
    let (every_process, first_cpu, no_group) = (-1, 0, -1);
    // SAFETY: the kernel reads the structure and the name, and both outlive the call.
    let opened = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            &raw const event,
            every_process,
            first_cpu,
            no_group,
            CLOSE_ON_EXEC,
        )
    };
    let Ok(fd @ 0..) = i32::try_from(opened) else {
        return Err(io::Error::last_os_error());
    };
    // SAFETY: the kernel has just given it to us alone.
    drop(unsafe { OwnedFd::from_raw_fd(fd) });
    Ok(())
}
