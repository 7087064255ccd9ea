//! What a kernel is and offers, as plain data that can be written to a file and read back: so the
//! choice made from it is tested without that kernel.
//!
//! Leaves out asking. The kernel's release is kept for messages; nothing is decided by it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::attach::Attach;

/// Everything that hooks and layout are chosen from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// `uname -r`.
    pub release: String,
    /// Functions of the catalogue that the kernel has.
    pub functions: BTreeMap<String, Function>,
    /// `struct.member` to byte offset, of those that the layout asks for.
    pub members: BTreeMap<String, u32>,
    /// Structure to size.
    pub sizes: BTreeMap<String, u32>,
    /// Enumerator to value.
    pub enumerators: BTreeMap<String, u64>,
    /// Addresses from kallsyms, of data without the end; empty where they are hidden.
    pub symbols: BTreeMap<String, Range>,
    /// Bytes of a page of memory.
    pub page_bytes: u64,
    /// Ways to attach that the kernel grants this caller.
    pub methods: Methods,
    /// Whether a task may be interrupted by another one inside the kernel.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub preemptible: bool,
}

/// One kernel function.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Function {
    /// Types of its arguments, from BTF; `None` without a BTF entry.
    pub arguments: Option<Vec<String>>,
    /// Whether ftrace can hook it; `None` where tracefs could not be read, or was not asked.
    pub traceable: Option<bool>,
    /// Whether the kernel forbids kprobes on it, as far as this process may know.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub kprobe_forbidden: bool,
    /// Whether it is a part that the compiler split off a function: BTF does not
    /// know it, and its arguments are those of the whole.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub part: bool,
    /// Whether the kernel has no trampoline for so many arguments.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fentry_refused: bool,
}

impl Function {
    /// Whether either way of attaching takes it, if it is open at all.
    #[must_use]
    pub fn is_ordinary(&self) -> bool {
        let few = |it: &Vec<String>| it.len() <= SURE_ARGUMENTS;
        self.traceable != Some(false)
            && !self.kprobe_forbidden
            && !self.part
            && self.arguments.as_ref().is_some_and(few)
    }
}

/// Every kernel's trampolines pass as many arguments on: every architecture has them in registers.
pub const SURE_ARGUMENTS: usize = 6;

/// From a symbol to the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// Address of the symbol; zero where it is hidden.
    pub start: u64,
    /// Address of the next one.
    pub end: u64,
}

impl Facts {
    /// As far as this process can see, what they would be for one that has the capabilities.
    #[must_use]
    pub fn as_if_privileged(&self) -> Self {
        Self {
            methods: self.methods.as_if_privileged(),
            ..self.clone()
        }
    }
}

/// Ways to attach.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Methods {
    /// BPF trampolines.
    pub fentry: Support,
    /// kprobes and kretprobes.
    pub kprobe: Support,
}

/// Whether a way is open, and if not, what closes it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Support {
    /// A trial succeeded.
    Yes,
    /// In words for the operator.
    No(String),
    /// This process lacks the capabilities that a trial takes.
    Untried,
    /// Nobody asked.
    #[default]
    Unknown,
}

impl Support {
    /// Whether hooks can be attached that way.
    #[must_use]
    pub fn usable(&self) -> bool {
        *self == Self::Yes
    }

    /// Why not, as far as is known.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::No(reason) => Some(reason),
            Self::Untried => Some("not tried, for want of capabilities"),
            Self::Yes | Self::Unknown => None,
        }
    }
}

impl Methods {
    /// What is not tried for want of capabilities is taken to work.
    #[must_use]
    pub fn as_if_privileged(&self) -> Self {
        let tried = |it: &Support| match it {
            Support::Untried => Support::Yes,
            Support::Yes | Support::No(_) | Support::Unknown => it.clone(),
        };
        Self {
            fentry: tried(&self.fentry),
            kprobe: tried(&self.kprobe),
        }
    }

    /// Why none of the ways that `attach` allows is open, each reason once; `None` if one is.
    #[must_use]
    pub fn closed(&self, attach: Attach) -> Option<String> {
        let (mut reasons, other) = match attach {
            Attach::Auto => (vec![self.fentry.reason()?, self.kprobe.reason()?], None),
            Attach::Fentry => (vec![self.fentry.reason()?], Some(("kprobe", &self.kprobe))),
            Attach::Kprobe => (vec![self.kprobe.reason()?], Some(("fentry", &self.fentry))),
        };
        reasons.dedup();
        let reasons = reasons.join("; and ");
        Some(match other {
            Some((name, support)) if support.usable() => {
                format!("{reasons}; {name} works here (--attach {name}, or auto)")
            }
            Some(_) | None => reasons,
        })
    }
}
