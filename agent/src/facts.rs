//! What the running kernel is and offers, asked once at start.
//!
//! Facts are plain data that can be written to a file and read back, so that
//! the choice made from them (`plan`, `kernel_layout`) is tested without that
//! kernel. The kernel's release is kept for messages; nothing is decided by it.

mod btf;
mod methods;
mod preemption;
mod symbols;
pub(crate) mod trial;

use std::{collections::BTreeMap, fs, path::Path};

use serde::{Deserialize, Serialize};

pub(crate) use methods::{Lockdown, Methods, Privileges, Support, has_loop, lockdown};
pub(crate) use symbols::{tracefs, untraceable};
pub(crate) use trial::{bpf, open_perf_event};

use crate::{catalogue::HOOKS, error::AgentError, kernel_layout, metrics};

/// Where the kernel shows its BTF.
pub(crate) const BTF: &str = "/sys/kernel/btf/vmlinux";

/// Everything that hooks and layout are chosen from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Facts {
    /// `uname -r`.
    pub(crate) release: String,
    /// Functions of the catalogue that the kernel has.
    pub(crate) functions: BTreeMap<String, Function>,
    /// `struct.member` to byte offset, of those that the layout asks for.
    pub(crate) members: BTreeMap<String, u32>,
    /// Structure to size.
    pub(crate) sizes: BTreeMap<String, u32>,
    /// Enumerator to value.
    pub(crate) enumerators: BTreeMap<String, u64>,
    /// Addresses from kallsyms; empty where they are hidden.
    pub(crate) symbols: BTreeMap<String, Range>,
    /// Bytes of a page of memory.
    pub(crate) page_bytes: u64,
    /// Ways to attach that the kernel grants this caller.
    pub(crate) methods: Methods,
    /// Whether a task may be interrupted by another one inside the kernel.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) preemptible: bool,
}

/// One kernel function.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Function {
    /// Types of its arguments, from BTF; `None` without a BTF entry.
    pub(crate) arguments: Option<Vec<String>>,
    /// Whether ftrace can hook it; `None` where tracefs could not be read.
    pub(crate) traceable: Option<bool>,
    /// Whether the kernel forbids kprobes on it, as far as this process may know.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) kprobe_forbidden: bool,
    /// Whether it is a part that the compiler split off a function: BTF does not
    /// know it, and its arguments are those of the whole.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) part: bool,
    /// Whether the kernel has no trampoline for so many arguments.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) fentry_refused: bool,
}

impl Function {
    /// Whether either way of attaching takes it, if it is open at all.
    fn is_ordinary(&self) -> bool {
        let few = |it: &Vec<String>| it.len() <= SURE_ARGUMENTS;
        self.traceable != Some(false)
            && !self.kprobe_forbidden
            && !self.part
            && self.arguments.as_ref().is_some_and(few)
    }
}

/// Every kernel's trampolines pass as many arguments on: every architecture has them in registers.
const SURE_ARGUMENTS: usize = 6;

/// From a symbol to the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Range {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

impl Facts {
    /// Asks the running kernel. Loads trial programs and opens a kprobe to learn
    /// which ways to attach there are, and removes them.
    pub(crate) fn gather() -> Result<Self, AgentError> {
        let names: Vec<&str> = HOOKS
            .iter()
            .flat_map(|hook| hook.candidates)
            .map(|candidate| candidate.symbol)
            .collect();
        let btf = btf::KernelBtf::open(Path::new(BTF))?;
        let symbols = symbols::kallsyms(&names, kernel_layout::SYMBOLS)?;
        let traceable = symbols::traceable();
        let forbidden = symbols::kprobe_blacklist();
        let mut functions = BTreeMap::new();
        for name in names {
            let whole = symbols::whole(name);
            let arguments = btf.arguments(whole.unwrap_or(name))?;
            let is_there = arguments.is_some() && whole.is_none();
            if is_there || symbols.contains_key(name) {
                let traceable = traceable.as_ref().map(|it| it.contains(name));
                functions.insert(
                    name.to_owned(),
                    Function {
                        arguments,
                        traceable,
                        kprobe_forbidden: forbidden.contains(name),
                        part: whole.is_some(),
                        fentry_refused: false,
                    },
                );
            }
        }
        let probed = functions
            .iter()
            .find(|(_, it): &(_, &Function)| it.is_ordinary())
            .map(|(name, _)| name.as_str());
        let methods = Methods::probe(probed, probed.and_then(|it| btf.function_id(it)));
        let mut facts = Self {
            release: release(),
            page_bytes: metrics::page_bytes(),
            functions,
            symbols,
            methods,
            ..Self::default()
        };
        facts.try_long_functions(&btf);
        for (structure, member) in kernel_layout::MEMBERS {
            if let Some(offset) = btf.offset(structure, member)? {
                facts
                    .members
                    .insert(format!("{structure}.{member}"), offset);
            }
        }
        for structure in kernel_layout::SIZES {
            if let Some(size) = btf.size(structure)? {
                facts.sizes.insert((*structure).to_owned(), size);
            }
        }
        for enumerator in kernel_layout::ENUMERATORS {
            if let Some(value) = btf.enumerator(enumerator) {
                facts.enumerators.insert((*enumerator).to_owned(), value);
            }
        }
        facts.preemptible = preemption::preemptible(btf.enumerator(preemption::LAZY).is_some());
        Ok(facts)
    }
}

impl Facts {
    /// As far as this process can see, what they would be for one that has the capabilities.
    pub(crate) fn as_if_privileged(&self) -> Self {
        Self {
            methods: self.methods.as_if_privileged(),
            ..self.clone()
        }
    }

    /// Where trampolines take few arguments, a program for a function of many loads and is then
    /// refused.
    fn try_long_functions(&mut self, btf: &btf::KernelBtf) {
        if !self.methods.fentry.usable() {
            return;
        }
        for (name, function) in &mut self.functions {
            let arguments = function.arguments.as_ref().map_or(0, Vec::len);
            if arguments > SURE_ARGUMENTS && function.traceable != Some(false) {
                let id = btf.function_id(name);
                function.fentry_refused = id.is_some_and(|id| trial::attach_fentry(id).is_err());
            }
        }
    }
}

/// `uname -r`, for messages.
pub(crate) fn release() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease")
        .map_or_else(|_| "unknown".to_owned(), |it| it.trim().to_owned())
}
