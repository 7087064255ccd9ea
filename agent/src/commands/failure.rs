//! What failed, and when: the time decides the exit code, whatever the error.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use crate::error::{AgentError, chain};

/// What a verb ends with.
pub(super) type Done = Result<(), Failure>;

/// Why a verb did not do what it was asked.
#[derive(Debug)]
pub(super) enum Failure {
    /// It did nothing of it: something outside has to change first.
    Start(AgentError),
    /// It had begun.
    Running(AgentError),
}

impl Failure {
    /// Says what it was.
    pub(super) fn report(&self) {
        let (Self::Start(error) | Self::Running(error)) = self;
        // Where nobody can be told, the exit code still does.
        let _ = writeln!(io::stderr(), "pinscope: {}", chain(error));
    }

    /// 2 is for what trying again will not change; a service manager tries again after 1.
    pub(super) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.number())
    }

    fn number(&self) -> u8 {
        match self {
            Self::Start(error) if !error.is_transient() => 2,
            Self::Start(_) | Self::Running(_) => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unreadable(errno: i32) -> AgentError {
        AgentError::Read {
            path: "/proc/kallsyms".into(),
            source: io::Error::from_raw_os_error(errno),
        }
    }

    #[test]
    fn the_same_error_ends_a_start_with_2_and_a_run_with_1() {
        assert_eq!(Failure::Start(unreadable(libc::ENOENT)).number(), 2);
        assert_eq!(Failure::Running(unreadable(libc::ENOENT)).number(), 1);
    }

    #[test]
    fn what_may_be_there_a_moment_later_is_worth_another_try() {
        for errno in [libc::ENOMEM, libc::EMFILE, libc::ENFILE] {
            assert_eq!(Failure::Start(unreadable(errno)).number(), 1, "{errno}");
        }
    }
}
