//! Limits of this process (`getrlimit(2)`) that its probes may not fit into.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::error::AgentError;

/// Files that the agent opens besides its probes: maps, sockets, clients, files of `/proc`.
const BESIDES: u64 = 160;

/// Of a probe: the program, what it is attached by, and the perf event below that.
const A_PROGRAM: u64 = 3;

/// Files that so many programs take, attached, with all else.
#[must_use]
pub(crate) fn files_for(programs: u64) -> u64 {
    BESIDES + A_PROGRAM * programs
}

/// Raises the soft limit on open files as far as it may be, where that is needed.
///
/// # Errors
///
/// If the hard one is below `needed`.
pub(crate) fn allow_files(needed: u64) -> Result<(), AgentError> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // `None` is without limit.
    if current.is_none_or(|it| it >= needed) {
        return Ok(());
    }
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    let is_enough = maximum.is_none_or(|it| it >= needed);
    if is_enough && setrlimit(Resource::Nofile, raised).is_ok() {
        return Ok(());
    }
    Err(AgentError::TooFewFiles {
        allowed: if is_enough { current } else { maximum }.unwrap_or(u64::MAX),
        needed,
    })
}

/// Lifts the limit on locked memory, to which kernels before Linux 5.11 charge maps and programs.
/// Whether it is lifted.
pub(crate) fn lock_any_memory() -> bool {
    let unlimited = Rlimit {
        current: None,
        maximum: None,
    };
    setrlimit(Resource::Memlock, unlimited).is_ok()
        || getrlimit(Resource::Memlock).current.is_none()
}
