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
use hooks::{Methods, Support};
use serde::Serialize;

use super::trial;
use crate::{
    error::chain,
    kernel::{ftrace, jit, kprobes},
};

const PARANOID: &str = "/proc/sys/kernel/perf_event_paranoid";

/// Loads one trial program per way and drops it; attaches one to the function with this name and
/// BTF id, and lets go of it. `no_trampolines`: why there are to be none, whatever the kernel says.
pub(super) fn probe(
    function: Option<&str>,
    id: Option<u32>,
    no_trampolines: Option<String>,
) -> Methods {
    // Before anything is tried: what is attached while tracing is off harms whoever traces later.
    if ftrace::is_off() && ftrace::HAS_KPROBES {
        let off = || Support::No(ftrace::OFF.to_owned());
        return Methods {
            fentry: off(),
            kprobe: no_kprobes().map_or_else(off, Support::No),
        };
    }
    let closed = closed_to_this_process();
    if let Some(closed) = closed.or_else(|| lack_of_helpers().map(Support::No)) {
        return Methods {
            fentry: closed.clone(),
            // What nobody has is no matter of privileges.
            kprobe: no_kprobes().map_or(closed, Support::No),
        };
    }
    Methods {
        fentry: if ftrace::is_off() {
            Support::No(ftrace::OFF.to_owned())
        } else {
            no_trampolines.map_or_else(|| fentry(id), Support::No)
        },
        kprobe: kprobe(function),
    }
}

/// What keeps this process from any way to attach, whatever the kernel offers.
fn closed_to_this_process() -> Option<Support> {
    let missing = Privileges::of_this_process().missing;
    if missing.contains(&"CAP_BPF") || missing.contains(&"CAP_PERFMON") {
        return Some(Support::Untried);
    }
    if jit::is_off() {
        return Some(Support::No(jit::OFF.to_owned()));
    }
    lockdown().is_confidentiality().then(|| {
        Support::No(
            "the kernel is locked down (confidentiality), so that no program may read its memory; \
             boot with lockdown=integrity or without lockdown="
                .to_owned(),
        )
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
    if kprobes::are_off() {
        return Support::No(kprobes::OFF.to_owned());
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
    Support::No(no_kprobe(function, &error, paranoid.trim()))
}

/// Why, as far as the kernel's answer and its setting tell.
fn no_kprobe(function: &str, error: &io::Error, paranoid: &str) -> String {
    match (error.raw_os_error(), paranoid.parse::<i32>()) {
        (Some(libc::EPERM | libc::EACCES), Ok(3..)) => format!(
            "kernel.perf_event_paranoid is {paranoid}, which refuses kprobes to all but root; \
             `sysctl kernel.perf_event_paranoid=2` allows them to CAP_PERFMON"
        ),
        // Of filters some say that there is no such call.
        (Some(libc::EPERM | libc::EACCES | libc::ENOSYS), _) => format!(
            "perf_event_open(2) is refused ({error}): a seccomp filter, a security module or the \
             container forbids it; allow it there"
        ),
        _ => format!("the kernel refuses to open a kprobe on {function} ({error})"),
    }
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
    /// What the agent needs.
    pub(crate) const NEEDED: [(Capability, &str); 3] = [
        (Capability::CAP_BPF, "CAP_BPF"),
        (Capability::CAP_PERFMON, "CAP_PERFMON"),
        (Capability::CAP_SYSLOG, "CAP_SYSLOG"),
    ];

    /// Reads this process's effective capabilities.
    pub(crate) fn of_this_process() -> Self {
        let held = caps::read(None, CapSet::Effective).unwrap_or_default();
        if held.contains(&Capability::CAP_SYS_ADMIN) {
            return Self {
                missing: Vec::new(),
            };
        }
        let missing = Self::NEEDED
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
    fn a_filter_that_forbids_kprobes_is_told_from_a_setting_that_does() {
        let told =
            |number, paranoid| no_kprobe("f", &io::Error::from_raw_os_error(number), paranoid);
        assert!(told(libc::EACCES, "3").contains("sysctl kernel.perf_event_paranoid=2"));
        for number in [libc::EPERM, libc::ENOSYS] {
            let told = told(number, "2");
            assert!(
                told.contains("seccomp") && !told.contains("sysctl"),
                "{told}"
            );
        }
        // Without the setting's file, and where it is no matter of rights.
        assert!(told(libc::EPERM, "").contains("seccomp"));
        assert!(told(libc::ENOENT, "2").contains("kprobe on f"));
    }

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
