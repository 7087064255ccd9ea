//! Attaches what does nothing and detaches it, to learn whether this process may and this kernel
//! can. Leaves out why not. The system calls for it are here.

use std::{
    ffi::CString,
    fs, io, mem,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
};

use aya_obj::generated::{bpf_attach_type, bpf_attr, bpf_cmd, bpf_prog_type, perf_event_attr};

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
    open_perf_event(&event).map(drop)
}

/// Opens an event of every process. A program that is attached to it runs on every CPU.
pub(crate) fn open_perf_event(event: &perf_event_attr) -> io::Result<OwnedFd> {
    let (every_process, first_cpu, no_group) = (-1, 0, -1);
    // SAFETY: the kernel reads the structure and what it points to, which outlive the call.
    owned(unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            &raw const *event,
            every_process,
            first_cpu,
            no_group,
            CLOSE_ON_EXEC,
        )
    })
}

/// Attaches a program that returns to the function with this BTF id. A kernel may load it and then
/// have no trampoline for a function of so many arguments.
pub(crate) fn attach_fentry(function: u32) -> io::Result<()> {
    /// `r0 = 0; exit`
    const RETURN: [u64; 2] = [0xb7, 0x95];
    // SAFETY: plain integers, for which zero is a value.
    let mut load: bpf_attr = unsafe { mem::zeroed() };
    load.__bindgen_anon_3.prog_type = bpf_prog_type::BPF_PROG_TYPE_TRACING as u32;
    load.__bindgen_anon_3.expected_attach_type = bpf_attach_type::BPF_TRACE_FENTRY as u32;
    load.__bindgen_anon_3.attach_btf_id = function;
    load.__bindgen_anon_3.insns = RETURN.as_ptr() as u64;
    load.__bindgen_anon_3.insn_cnt = RETURN.len() as u32;
    load.__bindgen_anon_3.license = c"GPL".as_ptr() as u64;
    let program = bpf(bpf_cmd::BPF_PROG_LOAD, &load)?;
    // SAFETY: as above.
    let mut attach: bpf_attr = unsafe { mem::zeroed() };
    attach.raw_tracepoint.prog_fd = program.as_raw_fd().cast_unsigned();
    bpf(bpf_cmd::BPF_RAW_TRACEPOINT_OPEN, &attach).map(drop)
}

/// Loads a program of these instructions, as one for a kprobe, and drops it.
pub(crate) fn load_kprobe(instructions: &[u64]) -> io::Result<()> {
    // SAFETY: plain integers, for which zero is a value.
    let mut load: bpf_attr = unsafe { mem::zeroed() };
    load.__bindgen_anon_3.prog_type = bpf_prog_type::BPF_PROG_TYPE_KPROBE as u32;
    load.__bindgen_anon_3.insns = instructions.as_ptr() as u64;
    load.__bindgen_anon_3.insn_cnt = instructions.len() as u32;
    load.__bindgen_anon_3.license = c"GPL".as_ptr() as u64;
    bpf(bpf_cmd::BPF_PROG_LOAD, &load).map(drop)
}

/// The `bpf` system call, for commands that give a descriptor.
pub(crate) fn bpf(command: bpf_cmd, attributes: &bpf_attr) -> io::Result<OwnedFd> {
    // SAFETY: the kernel reads the attributes and what they point to, which outlive the call.
    owned(unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command as libc::c_long,
            &raw const *attributes,
            size_of::<bpf_attr>(),
        )
    })
}

/// The descriptor that a system call gave, or its error.
pub(crate) fn owned(given: libc::c_long) -> io::Result<OwnedFd> {
    let Ok(fd @ 0..) = i32::try_from(given) else {
        return Err(io::Error::last_os_error());
    };
    // SAFETY: the kernel has just given it to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
