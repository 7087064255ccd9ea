//! `bpf(2)`: the commands that aya has no call for, or not for what we are after.

use std::{
    io, mem,
    os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd},
};

use aya_obj::generated::{
    BPF_F_MMAPABLE, bpf_attach_type, bpf_attr, bpf_attr__bindgen_ty_14__bindgen_ty_3__bindgen_ty_1,
    bpf_cmd, bpf_link_info, bpf_map_type, bpf_prog_info, bpf_prog_type, bpf_stats_type,
};

use super::call::{checked, owned};

/// Structures of plain integers that a command reads or fills.
trait Plain: Copy {
    /// All zero.
    fn zeroed() -> Self {
        // SAFETY: plain integers, for which zero is a value.
        unsafe { mem::zeroed() }
    }
}

impl Plain for bpf_attr {}
impl Plain for bpf_link_info {}
impl Plain for bpf_prog_info {}

/// The system call. What the attributes point to has to outlive it.
fn bpf(command: bpf_cmd, attributes: &mut bpf_attr) -> io::Result<libc::c_long> {
    // SAFETY: the kernel reads the attributes and what they point to, which outlive the call, and
    // writes into them at most, or to where they say.
    checked(unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command as libc::c_long,
            &raw mut *attributes,
            size_of::<bpf_attr>(),
        )
    })
}

/// The same for commands that give a descriptor.
fn descriptor(command: bpf_cmd, attributes: &mut bpf_attr) -> io::Result<OwnedFd> {
    bpf(command, attributes).and_then(owned)
}

fn number(fd: BorrowedFd<'_>) -> u32 {
    fd.as_raw_fd().cast_unsigned()
}

/// Loads a program for kprobes.
pub(crate) fn load_kprobe(instructions: &[u64]) -> io::Result<OwnedFd> {
    load(instructions, bpf_prog_type::BPF_PROG_TYPE_KPROBE, |_| {})
}

/// Loads a program for the entry of the function with this BTF id.
pub(crate) fn load_fentry(instructions: &[u64], function: u32) -> io::Result<OwnedFd> {
    load_tracing(instructions, bpf_attach_type::BPF_TRACE_FENTRY, function)
}

/// Loads a program for the iterator with this BTF id.
pub(crate) fn load_iterator(instructions: &[u64], iterator: u32) -> io::Result<OwnedFd> {
    load_tracing(instructions, bpf_attach_type::BPF_TRACE_ITER, iterator)
}

fn load_tracing(instructions: &[u64], at: bpf_attach_type, id: u32) -> io::Result<OwnedFd> {
    let kind = bpf_prog_type::BPF_PROG_TYPE_TRACING;
    load(instructions, kind, |attributes| {
        attributes.__bindgen_anon_3.expected_attach_type = at as u32;
        attributes.__bindgen_anon_3.attach_btf_id = id;
    })
}

/// Links a program to an iterator over the elements of a map.
pub(crate) fn link_map_iterator(program: impl AsFd, map: impl AsFd) -> io::Result<OwnedFd> {
    // `union bpf_iter_link_info`, of which the map's descriptor is the first word.
    let about = number(map.as_fd());
    let mut attributes = bpf_attr::zeroed();
    attributes.link_create.__bindgen_anon_1.prog_fd = number(program.as_fd());
    attributes.link_create.attach_type = bpf_attach_type::BPF_TRACE_ITER as u32;
    let info = bpf_attr__bindgen_ty_14__bindgen_ty_3__bindgen_ty_1 {
        iter_info: (&raw const about) as u64,
        iter_info_len: size_of_val(&about) as u32,
    };
    attributes.link_create.__bindgen_anon_3.__bindgen_anon_1 = info;
    descriptor(bpf_cmd::BPF_LINK_CREATE, &mut attributes)
}

/// Links a program to an iterator that needs to know nothing else.
pub(crate) fn link_iterator(program: impl AsFd) -> io::Result<OwnedFd> {
    let mut attributes = bpf_attr::zeroed();
    attributes.link_create.__bindgen_anon_1.prog_fd = number(program.as_fd());
    attributes.link_create.attach_type = bpf_attach_type::BPF_TRACE_ITER as u32;
    descriptor(bpf_cmd::BPF_LINK_CREATE, &mut attributes)
}

/// Begins to iterate: what the program prints is read from the descriptor.
pub(crate) fn iterate(link: impl AsFd) -> io::Result<OwnedFd> {
    let mut attributes = bpf_attr::zeroed();
    attributes.iter_create.link_fd = number(link.as_fd());
    descriptor(bpf_cmd::BPF_ITER_CREATE, &mut attributes)
}

fn load(
    instructions: &[u64],
    kind: bpf_prog_type,
    more: impl FnOnce(&mut bpf_attr),
) -> io::Result<OwnedFd> {
    let mut attributes = bpf_attr::zeroed();
    attributes.__bindgen_anon_3.prog_type = kind as u32;
    attributes.__bindgen_anon_3.insns = instructions.as_ptr() as u64;
    attributes.__bindgen_anon_3.insn_cnt = instructions.len() as u32;
    attributes.__bindgen_anon_3.license = c"GPL".as_ptr() as u64;
    more(&mut attributes);
    descriptor(bpf_cmd::BPF_PROG_LOAD, &mut attributes)
}

/// Makes an array of 64-bit words that can be mapped (Linux 5.5).
pub(crate) fn create_words(count: u32) -> io::Result<OwnedFd> {
    let mut attributes = bpf_attr::zeroed();
    attributes.__bindgen_anon_1.map_type = bpf_map_type::BPF_MAP_TYPE_ARRAY as u32;
    attributes.__bindgen_anon_1.key_size = size_of::<u32>() as u32;
    attributes.__bindgen_anon_1.value_size = size_of::<u64>() as u32;
    attributes.__bindgen_anon_1.max_entries = count;
    attributes.__bindgen_anon_1.map_flags = BPF_F_MMAPABLE;
    descriptor(bpf_cmd::BPF_MAP_CREATE, &mut attributes)
}

/// Attaches a tracing program, for as long as the descriptor is open.
pub(crate) fn attach_tracing(program: impl AsFd) -> io::Result<OwnedFd> {
    let mut attributes = bpf_attr::zeroed();
    attributes.raw_tracepoint.prog_fd = number(program.as_fd());
    descriptor(bpf_cmd::BPF_RAW_TRACEPOINT_OPEN, &mut attributes)
}

/// Links a program to a perf event, for as long as the descriptor is open (Linux 5.15).
pub(crate) fn link_perf_event(program: impl AsFd, event: impl AsFd) -> io::Result<OwnedFd> {
    let mut attributes = bpf_attr::zeroed();
    attributes.link_create.__bindgen_anon_1.prog_fd = number(program.as_fd());
    attributes.link_create.__bindgen_anon_2.target_fd = number(event.as_fd());
    attributes.link_create.attach_type = bpf_attach_type::BPF_PERF_EVENT as u32;
    descriptor(bpf_cmd::BPF_LINK_CREATE, &mut attributes)
}

/// Loads a program for a raw tracepoint, to be run by [`run_once`].
pub(crate) fn load_raw_tracepoint(instructions: &[u64]) -> io::Result<OwnedFd> {
    let kind = bpf_prog_type::BPF_PROG_TYPE_RAW_TRACEPOINT;
    load(instructions, kind, |_| {})
}

/// Runs a program of a raw tracepoint once, with these words as its arguments, and gives what it
/// returned (Linux 5.10).
pub(crate) fn run_once(program: impl AsFd, arguments: &[u64]) -> io::Result<u32> {
    let mut attributes = bpf_attr::zeroed();
    attributes.test.prog_fd = number(program.as_fd());
    attributes.test.ctx_size_in = size_of_val(arguments) as u32;
    attributes.test.ctx_in = arguments.as_ptr() as u64;
    run(attributes)
}

/// Loads a program that is run by [`run_on`] (Linux 5.14).
pub(crate) fn load_to_run(instructions: &[u64]) -> io::Result<OwnedFd> {
    /// `BPF_F_SLEEPABLE`, without which the kernel takes no such program.
    const SLEEPABLE: u32 = 1 << 4;
    let kind = bpf_prog_type::BPF_PROG_TYPE_SYSCALL;
    load(instructions, kind, |attributes| {
        attributes.__bindgen_anon_3.prog_flags = SLEEPABLE;
    })
}

/// Runs a program once on these words, which it may change, and gives what it returned.
pub(crate) fn run_on(program: impl AsFd, words: &mut [u64]) -> io::Result<u32> {
    let mut attributes = bpf_attr::zeroed();
    attributes.test.prog_fd = number(program.as_fd());
    attributes.test.ctx_size_in = size_of_val(words) as u32;
    attributes.test.ctx_in = words.as_mut_ptr() as u64;
    run(attributes)
}

fn run(mut attributes: bpf_attr) -> io::Result<u32> {
    bpf(bpf_cmd::BPF_PROG_TEST_RUN, &mut attributes)?;
    // SAFETY: the part of the union that the command fills, plain integers.
    Ok(unsafe { attributes.test.retval })
}

/// What the kernel says of a program.
pub(crate) fn program_info(program: impl AsFd) -> Option<bpf_prog_info> {
    info(program.as_fd())
}

/// What it says of a link.
pub(crate) fn link_info(link: impl AsFd) -> Option<bpf_link_info> {
    info(link.as_fd())
}

/// As far as this kernel knows it; what it does not stays zero.
fn info<T: Plain>(fd: BorrowedFd<'_>) -> Option<T> {
    let mut info = T::zeroed();
    let mut attributes = bpf_attr::zeroed();
    attributes.info.bpf_fd = number(fd);
    attributes.info.info_len = size_of::<T>() as u32;
    attributes.info.info = (&raw mut info) as u64;
    bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attributes).ok()?;
    Some(info)
}

/// Has the kernel count how often every program runs, for as long as the descriptor is open.
pub(crate) fn count_runs() -> io::Result<OwnedFd> {
    let mut attributes = bpf_attr::zeroed();
    attributes.enable_stats.type_ = bpf_stats_type::BPF_STATS_RUN_TIME as u32;
    descriptor(bpf_cmd::BPF_ENABLE_STATS, &mut attributes)
}
