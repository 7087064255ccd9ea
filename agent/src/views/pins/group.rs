//! What a row of the report stands for.

use serde::Serialize;

use crate::{
    kernel::maps::PinEntry,
    owners::{
        By, OwnerInfo, OwnerRegistry,
        cgroups::container,
        file::Memory,
        process::{self, Accounts},
        subsystems,
        symbols::Frame,
    },
};

/// How an owner is called whose record could not be had.
const NOBODY: &str = "(unknown)";

/// A group of pins.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum About {
    Process(Process),
    Cgroup(Cgroup),
    Memcg(Cgroup),
    Subsystem(String),
    File(Memory),
    Stack(Stack),
}

/// A process that pinned.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) comm: String,
    /// When it began, seconds after boot.
    pub(crate) started_seconds: f64,
    pub(crate) lives: bool,
    pub(crate) uid: u32,
    pub(crate) cgroup: String,
    /// The kernel's accounts of it; absent once it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) accounts: Option<Accounts>,
}

/// A cgroup, and what its path says it is.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Cgroup {
    pub(crate) path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) container: Option<String>,
}

/// A call path.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Stack {
    pub(crate) subsystem: String,
    pub(crate) function: String,
    /// Whether the call said that it would hold on (`FOLL_LONGTERM`); absent
    /// where the flag's value is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) longterm: Option<bool>,
    pub(crate) write: bool,
    pub(crate) comm: String,
    /// Callers, innermost first.
    pub(crate) frames: Vec<Frame>,
}

impl About {
    /// The group that an entry belongs to.
    pub(crate) fn of(owners: &mut OwnerRegistry, entry: &PinEntry, by: By) -> Self {
        let named = owners.owner(entry.owner).cloned();
        match by {
            By::Process => Self::Process(process(owners, named)),
            By::Cgroup => Self::Cgroup(cgroup(match &named {
                Some(named) => owners.cgroups.path(named.record.cgroup),
                None => NOBODY.to_owned(),
            })),
            By::Memcg => {
                let charged = owners.files.charged(entry);
                owners.cgroups.learn(charged);
                Self::Memcg(cgroup(match charged {
                    Some(id) => owners.cgroups.path(id),
                    None => NOBODY.to_owned(),
                }))
            }
            By::Subsystem => Self::Subsystem(
                named
                    .map_or(subsystems::UNKNOWN, |it| it.subsystem)
                    .to_owned(),
            ),
            By::File => Self::File(owners.files.memory(entry)),
            By::Stack => Self::Stack(stack(owners, named)),
        }
    }

    /// What tells it from the others.
    pub(crate) fn key(&self) -> String {
        match self {
            Self::Process(it) => format!("{} {} {}", it.comm, it.pid, it.started_seconds),
            Self::Cgroup(it) | Self::Memcg(it) => it.path.clone(),
            Self::Subsystem(it) => it.clone(),
            Self::File(it) => it.text(),
            Self::Stack(it) => format!(
                "{} {} {} {:?} {}",
                it.comm,
                it.function,
                it.path(),
                it.longterm,
                it.write
            ),
        }
    }
}

impl Stack {
    /// The callers in one line.
    pub(crate) fn path(&self) -> String {
        let names: Vec<String> = self
            .frames
            .iter()
            .map(|frame| match &frame.module {
                Some(module) => format!("{} [{module}]", frame.function),
                None => frame.function.clone(),
            })
            .collect();
        names.join(" < ")
    }
}

fn process(owners: &OwnerRegistry, named: Option<OwnerInfo>) -> Process {
    let Some(named) = named else {
        return Process {
            pid: 0,
            comm: NOBODY.to_owned(),
            started_seconds: 0.0,
            lives: false,
            uid: 0,
            cgroup: NOBODY.to_owned(),
            accounts: None,
        };
    };
    let record = &named.record;
    Process {
        pid: record.tgid,
        started_seconds: record.start_ns as f64 / 1e9,
        lives: named.lives,
        uid: record.uid,
        cgroup: owners.cgroups.path(record.cgroup),
        accounts: if named.lives {
            process::accounts(record.tgid)
        } else {
            None
        },
        comm: named.comm,
    }
}

fn cgroup(path: String) -> Cgroup {
    Cgroup {
        container: container(&path),
        path,
    }
}

fn stack(owners: &OwnerRegistry, named: Option<OwnerInfo>) -> Stack {
    /// `FOLL_WRITE`, include/linux/mm_types.h; the same on every kernel.
    const WRITE: u32 = 1;
    let Some(named) = named else {
        return Stack {
            subsystem: subsystems::UNKNOWN.to_owned(),
            function: NOBODY.to_owned(),
            longterm: None,
            write: false,
            comm: NOBODY.to_owned(),
            frames: Vec::new(),
        };
    };
    let function = probe_abi::GUP_FUNCTIONS
        .get(named.record.function as usize)
        .copied()
        .unwrap_or(NOBODY);
    Stack {
        subsystem: named.subsystem.to_owned(),
        function: function.to_owned(),
        longterm: owners
            .longterm_flag
            .map(|flag| named.record.flags & flag != 0),
        write: named.record.flags & WRITE != 0,
        comm: named.comm,
        frames: named.path,
    }
}
