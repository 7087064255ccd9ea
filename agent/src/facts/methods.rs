//! Which ways to attach the kernel grants this caller, and the privileges that
//! they take.

use std::{
    fs,
    io::{self, ErrorKind},
    path::Path,
};

use aya::{
    programs::ProgramType,
    sys::{BpfHelper, is_helper_supported, is_program_supported},
};
use caps::{CapSet, Capability};
use serde::{Deserialize, Serialize};

use super::trial;
use crate::{cli::Attach, error::chain};

const PARANOID: &str = "/proc/sys/kernel/perf_event_paranoid";

/// Of a way to attach that this process is not let near.
const UNTRIED: &str = "not tried, for want of capabilities";

/// Ways to attach.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Methods {
    pub(crate) fentry: Support,
    pub(crate) kprobe: Support,
}

/// Whether a way is open, and if not, what closes it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) enum Support {
    Yes,
    /// In words for the operator.
    No(String),
    #[default]
    Unknown,
}

impl Support {
    pub(crate) fn usable(&self) -> bool {
        *self != Self::Unknown && !matches!(self, Self::No(_))
    }

    pub(crate) fn reason(&self) -> Option<&str> {
        match self {
            Self::No(reason) => Some(reason),
            Self::Yes | Self::Unknown => None,
        }
    }
}

impl Methods {
    /// Loads one trial program per way and drops it; attaches one to the function with this name and
    /// BTF id, and lets go of it.
    pub(crate) fn probe(function: Option<&str>, id: Option<u32>) -> Self {
        if let Some(closed) = closed_to_this_process().or_else(lack_of_helpers) {
            return Self {
                fentry: Support::No(closed.clone()),
                // What nobody has is no matter of privileges.
                kprobe: Support::No(no_kprobes().unwrap_or(closed)),
            };
        }
        Self {
            fentry: fentry(id),
            kprobe: kprobe(function),
        }
    }

    /// What is not tried for want of capabilities is taken to work.
    pub(crate) fn as_if_privileged(&self) -> Self {
        let tried = |it: &Support| match it.reason() {
            Some(UNTRIED) => Support::Yes,
            _ => it.clone(),
        };
        Self {
            fentry: tried(&self.fentry),
            kprobe: tried(&self.kprobe),
        }
    }

    /// Why none of the ways that `attach` allows is open, each reason once; `None` if one is.
    pub(crate) fn closed(&self, attach: Attach) -> Option<String> {
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

/// What keeps this process from any way to attach, whatever the kernel offers.
fn closed_to_this_process() -> Option<String> {
    let missing = Privileges::of_this_process().missing;
    if missing.contains(&"CAP_BPF") || missing.contains(&"CAP_PERFMON") {
        return Some(UNTRIED.to_owned());
    }
    lockdown().is_confidentiality().then(|| {
        "the kernel is locked down (confidentiality), so that no program may read its memory; \
         boot with lockdown=integrity or without lockdown="
            .to_owned()
    })
}

/// Whether the kernel keeps root from changing or reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lockdown {
    /// The level in force: `none`, `integrity` or `confidentiality`.
    Level(String),
    /// This kernel knows no lockdown.
    Absent,
    /// Not shown to this process.
    Hidden,
}

impl Lockdown {
    pub(crate) fn is_confidentiality(&self) -> bool {
        matches!(self, Self::Level(level) if level == "confidentiality")
    }
}

/// The level, where securityfs shows it.
pub(crate) fn lockdown() -> Lockdown {
    const SECURITYFS: &str = "/sys/kernel/security";
    match fs::read_to_string(format!("{SECURITYFS}/lockdown")) {
        Ok(text) => text
            .split_once('[')
            .and_then(|(_, rest)| rest.split_once(']'))
            .map_or(Lockdown::Hidden, |(level, _)| {
                Lockdown::Level(level.to_owned())
            }),
        Err(error) if error.kind() == ErrorKind::NotFound && is_populated(SECURITYFS) => {
            Lockdown::Absent
        }
        Err(_) => Lockdown::Hidden,
    }
}

/// Whether a file system is mounted at a directory of the kernel's own, which is empty otherwise.
fn is_populated(mount: &str) -> bool {
    fs::read_dir(mount).is_ok_and(|mut entries| entries.next().is_some())
}

/// Whether the kernel's BPF has `bpf_loop`, and with it what came before:
/// compare-and-swap, and the helpers that know a traced function's arguments.
pub(crate) fn has_loop() -> bool {
    !lacks(BpfHelper::BPF_FUNC_loop)
}

/// What every flavour of the probes needs, whatever attaches it.
fn lack_of_helpers() -> Option<String> {
    lacks(BpfHelper::BPF_FUNC_ringbuf_reserve).then(|| {
        "the kernel's BPF has no ring buffer, which the probes need (Linux 5.8 brought it)"
            .to_owned()
    })
}

/// Where even asking is refused, the ways to attach will say why.
fn lacks(helper: BpfHelper) -> bool {
    matches!(is_helper_supported(ProgramType::KProbe, helper), Ok(false))
}

/// By attaching one to the function with this BTF id.
fn fentry(id: Option<u32>) -> Support {
    let Some(id) = id else {
        return trial(
            ProgramType::Tracing,
            "the kernel refuses tracing programs (fentry)",
        );
    };
    match trial::attach_fentry(id) {
        Ok(()) => Support::Yes,
        Err(error) => Support::No(no_fentry(&error)),
    }
}

/// Why, as far as the kernel's answer tells.
fn no_fentry(error: &io::Error) -> String {
    /// `ENOTSUPP`, which only the kernel itself knows.
    const NOT_SUPPORTED: i32 = 524;
    let why = match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => {
            "to this process, whose capabilities would do: a security module or the container forbids \
             them; allow BPF tracing there"
        }
        Some(NOT_SUPPORTED | libc::EOPNOTSUPP) => {
            "for want of trampolines: it is built without CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS"
        }
        _ => return format!("the kernel refuses tracing programs (fentry): {error}"),
    };
    format!("the kernel refuses tracing programs (fentry) {why} ({error})")
}

fn no_kprobes() -> Option<String> {
    let missing = !Path::new("/sys/bus/event_source/devices/kprobe/type").exists();
    missing.then(|| {
        "the kernel has no kprobes (CONFIG_KPROBE_EVENTS is off: \
         /sys/bus/event_source/devices/kprobe is missing)"
            .to_owned()
    })
}

fn kprobe(function: Option<&str>) -> Support {
    if let Some(missing) = no_kprobes() {
        return Support::No(missing);
    }
    if fs::read_to_string("/sys/kernel/debug/kprobes/enabled").is_ok_and(|it| it.trim() == "0") {
        return Support::No(
            "kprobes are switched off; `echo 1 > /sys/kernel/debug/kprobes/enabled` arms them"
                .to_owned(),
        );
    }
    match trial(ProgramType::KProbe, "the kernel refuses kprobe programs") {
        Support::Yes => function.map_or(Support::Yes, opened),
        closed => closed,
    }
}

/// A program that loads may still not be attached.
fn opened(function: &str) -> Support {
    let Err(error) = trial::open_kprobe(function) else {
        return Support::Yes;
    };
    let paranoid = fs::read_to_string(PARANOID).unwrap_or_default();
    Support::No(match paranoid.trim().parse() {
        Ok(3..) if error.kind() == ErrorKind::PermissionDenied => format!(
            "kernel.perf_event_paranoid is {}, which refuses kprobes to all but root; \
             `sysctl kernel.perf_event_paranoid=2` allows them to CAP_PERFMON",
            paranoid.trim()
        ),
        Ok::<i32, _>(_) | Err(_) => {
            format!("the kernel refuses to open a kprobe on {function} ({error})")
        }
    })
}

fn trial(kind: ProgramType, refusal: &str) -> Support {
    match is_program_supported(kind) {
        Ok(true) => Support::Yes,
        Ok(false) => Support::No(refusal.to_owned()),
        Err(error) => Support::No(format!("{refusal} ({})", chain(&error))),
    }
}

/// Capabilities that the agent needs and this process lacks.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Privileges {
    pub(crate) missing: Vec<&'static str>,
}

impl Privileges {
    /// Reads this process's effective capabilities.
    pub(crate) fn of_this_process() -> Self {
        let held = caps::read(None, CapSet::Effective).unwrap_or_default();
        if held.contains(&Capability::CAP_SYS_ADMIN) {
            return Self {
                missing: Vec::new(),
            };
        }
        let missing = [
            (Capability::CAP_BPF, "CAP_BPF"),
            (Capability::CAP_PERFMON, "CAP_PERFMON"),
            (Capability::CAP_SYSLOG, "CAP_SYSLOG"),
        ]
        .into_iter()
        .filter(|(capability, _)| !held.contains(capability))
        .map(|(_, name)| name)
        .collect();
        Self { missing }
    }

    /// One sentence with the way out, if anything is missing.
    pub(crate) fn complaint(&self) -> Option<String> {
        if self.missing.is_empty() {
            return None;
        }
        Some(format!(
            "this process lacks {}; run it as root, or as a service with \
             AmbientCapabilities=CAP_BPF CAP_PERFMON CAP_SYSLOG",
            self.missing.join(", ")
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_that_forbids_tracing_is_not_taken_for_a_kernel_without_it() {
        let told = |number| no_fentry(&io::Error::from_raw_os_error(number));
        assert!(told(libc::EPERM).contains("security module"));
        assert!(told(524).contains("CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS"));
        let other = told(libc::EBUSY);
        assert!(
            !other.contains("CONFIG_") && !other.contains("module"),
            "{other}"
        );
    }
}
