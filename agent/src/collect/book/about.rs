//! What a row stands for.

use std::sync::Arc;

use probe_abi::NOBODY;
use serde::Serialize;

use crate::{
    collect::holdings::Holder,
    owners::{
        By,
        cgroups::container,
        directory::Directory,
        files::Memory,
        processes::{Accounts, Life, ProcessId},
        registry::{OwnerInfo, Stack},
        subsystems,
        users::UserAccounts,
    },
};

/// A group of pins. In order, for rows that are alike.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum About {
    Process(Process),
    User(User),
    Cgroup(Cgroup),
    Memcg(Cgroup),
    Subsystem(&'static str),
    File(Memory),
    Stack(CallPath),
}

/// A process that pinned.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Process {
    pub(crate) comm: String,
    /// As the initial namespace counts; 0 where the owner is not known.
    pub(crate) pid: u32,
    /// Where the agent is, if that is another namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pid_here: Option<u32>,
    /// When it began, nanoseconds after boot.
    pub(crate) started_ns: u64,
    pub(crate) life: Life,
    pub(crate) uid: u32,
    /// Path of the cgroup that it pinned in; absent where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cgroup: Option<String>,
    /// The kernel's accounts of it; absent once it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) accounts: Option<Accounts>,
}

/// A user whose processes pinned.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct User {
    /// As the initial namespace counts; absent where the owner is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) uid: Option<u32>,
    /// Absent where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// Absent once its processes have ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) accounts: Option<UserAccounts>,
}

/// A cgroup, and what its path says it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Cgroup {
    /// Absent where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<String>,
    /// 0 where not even that is known.
    pub(crate) id: u64,
    /// The hierarchy whose id it is: 0 for the unified one, others are of version 1. Absent where
    /// that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hierarchy: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) container: Option<String>,
}

/// A call path, and who called.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct CallPath {
    pub(crate) comm: String,
    #[serde(flatten)]
    pub(crate) stack: Arc<Stack>,
}

/// What tells a group from the others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Process(Option<ProcessId>),
    User(Option<u32>),
    /// In a hierarchy.
    Cgroup(Option<u32>, u64),
    Subsystem(&'static str),
    File(Memory),
    Stack(String, Arc<Stack>),
}

/// How an owner is called that is not known.
pub(crate) const UNKNOWN: &str = "(unknown)";

/// The group of a holder.
pub(super) fn of(directory: &Directory, holder: &Holder, by: By) -> (Key, About) {
    let owner = owner(directory, holder.owner);
    // Preexisting pins may have an owner of which no more is known.
    let everybody = owner;
    let owner = owner.filter(|it| it.process.tgid != 0);
    match by {
        By::Process => {
            let key = Key::Process(owner.map(|it| it.process));
            (key, About::Process(process(directory, owner)))
        }
        By::User => {
            let user = user(directory, owner.map(|it| it.record.uid));
            (Key::User(user.uid), About::User(user))
        }
        By::Cgroup => {
            let it = owner.map(|it| directory.cgroup(it));
            let path = it.and_then(|it| it.path).map(str::to_owned);
            let (hierarchy, id) = it.map_or((None, 0), |it| (it.hierarchy, it.id));
            let about = About::Cgroup(cgroup(hierarchy, id, path));
            (Key::Cgroup(hierarchy, id), about)
        }
        By::Memcg => {
            let named = directory.memcg(holder.memcg);
            let path = named.map(|it| it.path.clone());
            let (hierarchy, id) = named.map_or((None, 0), |it| (it.hierarchy, it.id));
            let about = About::Memcg(cgroup(hierarchy, id, path));
            (Key::Cgroup(hierarchy, id), about)
        }
        By::Subsystem => {
            let subsystem = subsystem(directory, holder.owner);
            (Key::Subsystem(subsystem), About::Subsystem(subsystem))
        }
        By::File => {
            let memory = directory.memory(holder.mapping);
            (Key::File(memory.clone()), About::File(memory))
        }
        By::Stack => {
            let path = call_path(directory, everybody);
            let key = Key::Stack(path.comm.clone(), Arc::clone(&path.stack));
            (key, About::Stack(path))
        }
    }
}

fn owner(directory: &Directory, owner: u32) -> Option<&OwnerInfo> {
    match owner {
        NOBODY => None,
        owner => directory.owner(owner),
    }
}

/// The part of the kernel by which an owner pins.
pub(super) fn subsystem(directory: &Directory, number: u32) -> &'static str {
    owner(directory, number).map_or(subsystems::UNKNOWN, |it| it.subsystem)
}

fn process(directory: &Directory, owner: Option<&OwnerInfo>) -> Process {
    let Some(owner) = owner else {
        return Process {
            comm: UNKNOWN.to_owned(),
            pid: 0,
            pid_here: None,
            started_ns: 0,
            life: Life::Unknown,
            uid: 0,
            cgroup: None,
            accounts: None,
        };
    };
    let now = directory.process(owner.process);
    Process {
        comm: now.map_or_else(|| owner.comm.clone(), |it| it.comm.clone()),
        pid: owner.process.tgid,
        pid_here: now.and_then(|it| it.pid_here),
        started_ns: owner.process.start_ns,
        life: now.map_or(Life::Unknown, |it| it.life),
        uid: owner.record.uid,
        cgroup: directory.cgroup(owner).path.map(str::to_owned),
        accounts: now.and_then(|it| it.accounts),
    }
}

fn user(directory: &Directory, uid: Option<u32>) -> User {
    User {
        uid,
        name: uid
            .and_then(|it| directory.users.name(it))
            .map(str::to_owned),
        accounts: uid.and_then(|it| directory.users.accounts(it)),
    }
}

fn cgroup(hierarchy: Option<u32>, id: u64, path: Option<String>) -> Cgroup {
    Cgroup {
        hierarchy,
        container: path.as_deref().and_then(container),
        path,
        id,
    }
}

fn call_path(directory: &Directory, owner: Option<&OwnerInfo>) -> CallPath {
    match owner {
        Some(owner) => {
            let now = directory.process(owner.process);
            CallPath {
                comm: now.map_or_else(|| owner.comm.clone(), |it| it.comm.clone()),
                stack: Arc::clone(&owner.stack),
            }
        }
        None => CallPath {
            comm: UNKNOWN.to_owned(),
            stack: Arc::new(Stack {
                subsystem: subsystems::UNKNOWN,
                function: UNKNOWN,
                longterm: None,
                write: false,
                frames: Vec::new(),
                likely: Vec::new(),
            }),
        },
    }
}
