//! How probes may be attached, and how one is.

use serde::Serialize;

/// How the operator wants hooks to be attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum Attach {
    /// fentry where the kernel allows it, kprobe otherwise.
    Auto,
    /// BPF trampolines only.
    Fentry,
    /// kprobes and kretprobes only.
    Kprobe,
}

/// How a probe is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// BPF trampoline: fentry and fexit.
    Fentry,
    /// kprobe and kretprobe.
    Kprobe,
    /// kprobe, and behind it an fentry program for the calls that it is kept from.
    #[serde(rename = "kprobe+fentry")]
    Both,
    /// Not attached; its address range is recognised on the stack.
    Stack,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Fentry, Self::Kprobe, Self::Both, Self::Stack];

    /// In metrics, logs and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fentry => "fentry",
            Self::Kprobe => "kprobe",
            Self::Both => "kprobe+fentry",
            Self::Stack => "stack",
        }
    }
}
