//! Which ways to attach the kernel grants this caller, and the privileges that
//! they take.

use std::{fs, io::ErrorKind, path::Path};

use aya::{
    programs::ProgramType,
    sys::{BpfHelper, is_helper_supported, is_program_supported},
};
use caps::{CapSet, Capability};
use serde::{Deserialize, Serialize};

use super::trial;
use crate::{cli::Attach, error::chain};

const PARANOID: &str = "/proc/sys/kernel/perf_event_paranoid";

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
    /// Loads one trial program per way and drops it; opens one kprobe on `function`, and closes it.
    pub(crate) fn probe(function: Option<&str>) -> Self {
        if let Some(closed) = closed_to_this_process().or_else(lack_of_helpers) {
            return Self {
                fentry: Support::No(closed.clone()),
                kprobe: Support::No(closed),
            };
        }
        Self {
            fentry: fentry(),
            kprobe: kprobe(function),
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
        return Some("not tried, for want of capabilities".to_owned());
    }
    (lockdown().as_deref() == Some("confidentiality")).then(|| {
        "the kernel is locked down (confidentiality), so that no program may read its memory; \
         boot with lockdown=integrity or without lockdown="
            .to_owned()
    })
}

/// The level in force: `none`, `integrity` or `confidentiality`; `None` where it is not shown.
pub(crate) fn lockdown() -> Option<String> {
    let text = fs::read_to_string("/sys/kernel/security/lockdown").ok()?;
    let (_, rest) = text.split_once('[')?;
    Some(rest.split_once(']')?.0.to_owned())
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

fn fentry() -> Support {
    trial(
        ProgramType::Tracing,
        "the kernel refuses tracing programs (fentry): it is built without \
         CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS",
    )
}

fn kprobe(function: Option<&str>) -> Support {
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
