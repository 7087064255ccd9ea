//! Why a candidate cannot serve, in words that a user can act on.

use std::fmt;

use serde::Serialize;

use super::Method;

/// Why a candidate cannot serve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Unmet {
    NotInKernel,
    NotTraceable,
    Prototype {
        argument: usize,
        expected: String,
        found: String,
    },
    NoAddress,
    AddressHidden,
    /// Why the ways to attach that were asked for are closed.
    NoMethod(String),
    KprobeForbidden,
    /// Split off a function by the compiler.
    Part,
    TooManyArguments(usize),
    /// Attaching was tried and failed.
    Refused(String),
    /// The same for a kprobe that the kernel calls invalid.
    KprobeInvalid(String),
}

impl Unmet {
    /// Attaching failed, in words and as the system call said it.
    pub(crate) fn refused(method: Method, why: &str, answer: Option<i32>) -> Self {
        let why = format!("{}: {why}", method.name());
        match (method, answer) {
            (Method::Kprobe, Some(libc::EINVAL)) => Self::KprobeInvalid(why),
            (Method::Kprobe | Method::Fentry | Method::Stack, _) => Self::Refused(why),
        }
    }
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInKernel => write!(f, "not in this kernel"),
            Self::NotTraceable => write!(f, "ftrace cannot hook it"),
            Self::Prototype {
                argument,
                expected,
                found,
            } => {
                write!(f, "argument {argument} is `{found}`, expected `{expected}`")
            }
            Self::NoAddress => write!(f, "no such symbol"),
            Self::AddressHidden => write!(
                f,
                "its address is hidden from this process: that takes CAP_SYSLOG and \
                 kernel.kptr_restrict below 2"
            ),
            Self::NoMethod(why) => write!(f, "{why}"),
            Self::TooManyArguments(number) => write!(
                f,
                "it has {number} arguments, for which this kernel has no fentry, and kprobes are \
                 not open"
            ),
            Self::KprobeForbidden => write!(
                f,
                "the kernel forbids kprobes on it (/sys/kernel/debug/kprobes/blacklist), and \
                 fentry is not open, which `--attach auto` takes where the kernel has it"
            ),
            Self::Part => write!(
                f,
                "BTF does not know this part of a function, as fentry needs it, and kprobes are not \
                 open"
            ),
            Self::Refused(why) => write!(f, "refused: {why}"),
            Self::KprobeInvalid(why) => write!(
                f,
                "refused: {why}; a function on /sys/kernel/debug/kprobes/blacklist, which root may \
                 read, is refused like that: `--attach auto` takes fentry where the kernel has it"
            ),
        }
    }
}
