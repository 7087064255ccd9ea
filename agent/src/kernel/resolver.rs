//! Runs the program `resolve`, which is attached to nothing: `BPF_PROG_TEST_RUN`
//! of a raw tracepoint program (Linux 5.10). aya has no call for it.

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
};

use aya::{maps::MapData, programs::ProgramFd};
use probe_abi::Answer;

use super::maps::Shared;
use crate::error::AgentError;

/// `BPF_PROG_TEST_RUN`, include/uapi/linux/bpf.h.
const TEST_RUN: libc::c_long = 10;

/// The `test` member of `union bpf_attr`, as Linux 5.10 has it.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    program: u32,
    returned: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    context_size_in: u32,
    context_size_out: u32,
    context_in: u64,
    context_out: u64,
    flags: u32,
    cpu: u32,
}

/// The program and where it answers.
pub(crate) struct Resolver {
    program: ProgramFd,
    answer: Shared,
}

impl Resolver {
    pub(crate) fn new(program: ProgramFd, answer: &MapData) -> Result<Self, AgentError> {
        Ok(Self {
            program,
            answer: Shared::new(answer, "ANSWER", size_of::<Answer>())?,
        })
    }

    /// Asks one question of [`probe_abi::Query`].
    pub(crate) fn ask(&self, question: [u64; 3]) -> io::Result<Answer> {
        let mut attributes = Attributes {
            program: self.program.as_fd().as_raw_fd() as u32,
            context_size_in: size_of_val(&question) as u32,
            context_in: question.as_ptr() as u64,
            ..Attributes::default()
        };
        // SAFETY: the kernel reads the question, which outlives the call, and
        // writes into the attributes at most.
        let failed = unsafe {
            libc::syscall(
                libc::SYS_bpf,
                TEST_RUN,
                &raw mut attributes,
                size_of::<Attributes>(),
            )
        };
        if failed == 0 {
            Ok(self.answer.copy(0))
        } else {
            Err(io::Error::last_os_error())
        }
    }
}
