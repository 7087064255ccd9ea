//! Which ways to attach the kernel grants this caller, and the privileges that
//! they take.

use std::{fs, path::Path};

use aya::{
    programs::ProgramType,
    sys::{BpfHelper, is_helper_supported, is_program_supported},
};
use caps::{CapSet, Capability};
use serde::{Deserialize, Serialize};

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
    /// Loads one trial program per way, and drops it.
    pub(crate) fn probe() -> Self {
        if let Some(lack) = lack_of_helpers() {
            return Self {
                fentry: Support::No(lack.clone()),
                kprobe: Support::No(lack),
            };
        }
        Self {
            fentry: fentry(),
            kprobe: kprobe(),
        }
    }

    /// Why no way at all is open, each reason once; `None` if one is.
    pub(crate) fn all_closed(&self) -> Option<String> {
        let mut reasons = vec![self.fentry.reason()?, self.kprobe.reason()?];
        reasons.dedup();
        Some(reasons.join("; and "))
    }
}

/// The probes loop through the kernel's own helper, whatever attaches them.
/// Where even asking is refused, the ways to attach will say why.
fn lack_of_helpers() -> Option<String> {
    let has_loop = is_helper_supported(ProgramType::KProbe, BpfHelper::BPF_FUNC_loop);
    matches!(has_loop, Ok(false)).then(|| {
        "the kernel's BPF has no bpf_loop, which the probes need (Linux 5.17 brought it)".to_owned()
    })
}

fn fentry() -> Support {
    trial(
        ProgramType::Tracing,
        "the kernel refuses tracing programs (fentry): it is locked down, or built without \
         CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS",
    )
}

fn kprobe() -> Support {
    if !Path::new("/sys/bus/event_source/devices/kprobe/type").exists() {
        return Support::No(
            "the kernel has no kprobes (CONFIG_KPROBE_EVENTS is off: \
             /sys/bus/event_source/devices/kprobe is missing)"
                .to_owned(),
        );
    }
    if fs::read_to_string("/sys/kernel/debug/kprobes/enabled").is_ok_and(|it| it.trim() == "0") {
        return Support::No(
            "kprobes are switched off; `echo 1 > /sys/kernel/debug/kprobes/enabled` arms them"
                .to_owned(),
        );
    }
    trial(ProgramType::KProbe, "the kernel refuses kprobe programs")
}

fn trial(kind: ProgramType, refusal: &str) -> Support {
    match is_program_supported(kind) {
        Ok(true) => Support::Yes,
        Ok(false) => Support::No(refusal.to_owned()),
        Err(error) => Support::No(format!("{refusal} ({error})")),
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
