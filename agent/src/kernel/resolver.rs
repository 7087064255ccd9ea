//! Runs the program `resolve`, which is attached to nothing, and reads its answer.

use std::io;

use aya::{maps::MapData, programs::ProgramFd};
use probe_abi::Answer;

use super::{maps::Shared, sys::bpf};
use crate::error::AgentError;

/// The program and where it answers.
pub(crate) struct Resolver {
    program: ProgramFd,
    answer: Shared,
}

impl Resolver {
    pub(super) fn new(program: ProgramFd, answer: &MapData) -> Result<Self, AgentError> {
        Ok(Self {
            program,
            answer: Shared::new(answer, "ANSWER", size_of::<Answer>())?,
        })
    }

    /// Asks one question of [`probe_abi::Query`].
    pub(crate) fn ask(&self, question: [u64; 3]) -> io::Result<Answer> {
        bpf::run_once(&self.program, &question)?;
        Ok(self.answer.copy(0))
    }
}
