//! The kernel's own list of BPF programs. It leaves out whose they are: the kernel does not say.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use anyhow::{Result, bail};

/// `BPF_PROG_GET_NEXT_ID`, `BPF_PROG_GET_FD_BY_ID` and `BPF_OBJ_GET_INFO_BY_FD` of the kernel's
/// `enum bpf_cmd`.
const NEXT_ID: i64 = 11;
const FD_BY_ID: i64 = 13;
const INFO_BY_FD: i64 = 15;

/// Types of `enum bpf_prog_type` by which something is traced; systemd itself has others.
const TRACING: [u32; 6] = [
    2,  // kprobe
    5,  // tracepoint
    7,  // perf event
    17, // raw tracepoint
    24, // raw tracepoint that may write
    26, // tracing: fentry, fexit
];

/// Ids of the programs that trace the kernel now, whoever loaded them.
pub(crate) fn tracing() -> Result<Vec<u32>> {
    let mut found = Vec::new();
    let mut id = 0;
    while let Some(next) = next_id(id)? {
        id = next;
        if kind(id)?.is_some_and(|kind| TRACING.contains(&kind)) {
            found.push(id);
        }
    }
    Ok(found)
}

fn next_id(after: u32) -> Result<Option<u32>> {
    let mut attributes = [after, 0, 0];
    match call(NEXT_ID, &mut attributes) {
        Ok(_) => Ok(Some(attributes[1])),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(error) => bail!("the kernel does not list its BPF programs: {error}"),
    }
}

/// `None` if it has gone meanwhile.
fn kind(id: u32) -> Result<Option<u32>> {
    let fd = match call(FD_BY_ID, &mut [id, 0, 0]) {
        Ok(fd) => fd,
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(None),
        Err(error) => bail!("BPF program {id}: {error}"),
    };
    // SAFETY: the kernel has just made it, for nobody else.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    // `struct bpf_prog_info` begins with the type.
    let mut info = [0_u32; 2];
    let address = (&raw mut info) as u64;
    let mut attributes = [
        fd.as_raw_fd().cast_unsigned(),
        size_of_val(&info) as u32,
        address as u32,
        (address >> 32) as u32,
    ];
    match call(INFO_BY_FD, &mut attributes) {
        Ok(_) => Ok(Some(info[0])),
        Err(error) => bail!("BPF program {id}: {error}"),
    }
}

fn call<const N: usize>(command: i64, attributes: &mut [u32; N]) -> std::io::Result<i32> {
    // SAFETY: the kernel reads and writes no more than the size given; what the attributes of
    // INFO_BY_FD point to lives until this returns.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            attributes.as_mut_ptr(),
            size_of_val(attributes),
        )
    };
    match result {
        -1 => Err(std::io::Error::last_os_error()),
        result => Ok(result as i32),
    }
}
