//! Why a candidate cannot serve, in words that a user can act on.

use std::fmt;

use crate::attach::Method;

/// Why a candidate cannot serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reject {
    /// The kernel has no such function.
    NotInKernel,
    /// ftrace cannot hook it.
    NotTraceable,
    /// Its arguments are not those of the catalogue.
    Prototype {
        /// From 0.
        argument: usize,
        /// Its type, as BTF would spell it.
        expected: String,
        /// As BTF does.
        found: String,
    },
    /// kallsyms does not list it.
    NoAddress,
    /// kallsyms lists it as zero.
    AddressHidden,
    /// Why the ways to attach that were asked for are closed.
    NoMethod(String),
    /// It is on the kernel's blacklist of kprobes.
    KprobeForbidden,
    /// Split off a function by the compiler.
    Part,
    /// More than a trampoline of this kernel takes.
    TooManyArguments(usize),
    /// Attaching was tried and failed.
    Refused {
        /// In words.
        why: String,
        /// What the system call answered, if one did.
        errno: Option<i32>,
    },
    /// The same for a kprobe that the kernel calls invalid.
    KprobeInvalid(String),
}

/// `EINVAL`, include/uapi/asm-generic/errno-base.h.
const INVALID: i32 = 22;

impl Reject {
    /// Attaching failed, in words and as the system call said it.
    #[must_use]
    pub fn refused(method: Method, why: &str, errno: Option<i32>) -> Self {
        let why = format!("{}: {why}", method.name());
        match (method, errno) {
            (Method::Kprobe, Some(INVALID)) => Self::KprobeInvalid(why),
            (Method::Kprobe | Method::Fentry | Method::Both | Method::Stack, _) => {
                Self::Refused { why, errno }
            }
        }
    }
}

impl Reject {
    /// What the system call answered that refused it, if one did.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Refused { errno, .. } => *errno,
            Self::KprobeInvalid(_) => Some(INVALID),
            Self::NotInKernel
            | Self::NotTraceable
            | Self::Prototype { .. }
            | Self::NoAddress
            | Self::AddressHidden
            | Self::NoMethod(_)
            | Self::KprobeForbidden
            | Self::Part
            | Self::TooManyArguments(_) => None,
        }
    }
}

impl fmt::Display for Reject {
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
            Self::Refused { why, .. } => write!(f, "refused: {why}"),
            Self::KprobeInvalid(why) => write!(
                f,
                "refused: {why}; a function on /sys/kernel/debug/kprobes/blacklist, which root may \
                 read, is refused like that: `--attach auto` takes fentry where the kernel has it"
            ),
        }
    }
}
