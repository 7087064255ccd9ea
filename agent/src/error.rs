//! One error type for the daemon; each variant is something an operator can act on.

use std::{
    error::Error,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use hooks::{LayoutError, NoHook, Obstacle};
use verdicts::recording::Damage;

/// What can keep the agent from starting, or end it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AgentError {
    #[error(
        "cannot trace this kernel: {0}; `pinscope doctor` lists what is missing and the way out"
    )]
    NotTraceable(String),

    #[error("cannot run here{}", why.as_deref().map(|it| format!(": {it}")).unwrap_or_default())]
    Unfit {
        /// `None` where the report that stands above says it.
        why: Option<String>,
    },

    #[error(
        "this process may open {allowed} files, and {needed} are needed for the probes and whoever \
         asks; raise the limit (LimitNOFILE={needed} of a service, `ulimit -n {needed}` of a shell)"
    )]
    TooFewFiles { allowed: u64, needed: u64 },

    #[error(transparent)]
    NoHook(#[from] NoHook),

    #[error("cannot unpack the eBPF object that this program carries")]
    Unpack(#[source] lz4_flex::block::DecompressError),

    #[error("cannot load the eBPF object")]
    Load(#[source] Box<aya::EbpfError>),

    #[error("cannot use the eBPF map `{name}`: {reason}")]
    Map { name: &'static str, reason: String },

    #[error("the kernel refuses the eBPF map `{name}`: {way_out}")]
    MapRefused {
        name: String,
        way_out: &'static str,
        #[source]
        source: io::Error,
    },

    #[error("cannot listen on {address} (--listen takes another address)")]
    Listen {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },

    #[error("cannot use the configuration: {0}")]
    Config(String),

    #[error("the configuration has {} in {}", faults(*.0), .1.display())]
    Faulty(usize, PathBuf),

    #[error("this takes a restart of the agent: {0}; nothing of the file was taken over")]
    TakesRestart(String),

    #[error("cannot use the web configuration {}: {reason}", path.display())]
    WebConfig { path: PathBuf, reason: String },

    #[error("cannot read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },

    #[error("cannot write {}", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },

    #[error("cannot write to standard output")]
    Print {
        #[source]
        source: io::Error,
    },

    #[error("cannot take the socket {}", path.display())]
    Socket {
        path: PathBuf,
        #[source]
        source: io::Error,
    },

    #[error(
        "an agent with process id {pid} has the socket {}; end it, or give this one another with \
         --socket",
        socket.display()
    )]
    SecondAgent { socket: PathBuf, pid: String },

    #[error("no agent answers at {} ({way_out})", socket.display())]
    NoAgent {
        socket: PathBuf,
        way_out: &'static str,
        #[source]
        source: io::Error,
    },

    #[error("it was told to end before it had started")]
    ToldToEnd,

    #[error("the agent refused: {0}")]
    Refused(String),

    #[error("cannot use all of {}", path.display())]
    Recording {
        path: PathBuf,
        #[source]
        damage: Damage,
    },

    #[error("cannot replay {}: {reason}", path.display())]
    Trace { path: PathBuf, reason: String },

    #[error("cannot trace this kernel")]
    Layout(#[from] LayoutError),

    #[error("cannot understand the kernel's BTF")]
    Btf(#[from] btf_rs::Error),

    #[error("cannot set up the metrics")]
    Metrics(#[from] prometheus::Error),

    #[error("{what}")]
    System {
        what: &'static str,
        #[source]
        source: io::Error,
    },
}

impl AgentError {
    /// A map that the kernel did not make, with what its answer means.
    pub(crate) fn map_refused(name: String, source: io::Error) -> Self {
        let way_out = match source.kind() {
            io::ErrorKind::OutOfMemory => {
                "there is no memory for it, or none that the cgroup's limit leaves; raise that limit \
                 (MemoryMax= of a service) or choose a smaller --ledger-folios or --ring-bytes"
            }
            io::ErrorKind::PermissionDenied => {
                "before Linux 5.11 that is what a small RLIMIT_MEMLOCK means; raise it \
                 (LimitMEMLOCK=infinity of a service, `ulimit -l unlimited` of a shell)"
            }
            _ => "`pinscope doctor` lists what is missing",
        };
        Self::MapRefused {
            name,
            way_out,
            source,
        }
    }

    /// Nobody answered at the socket of an agent.
    pub(crate) fn no_agent(socket: &Path, source: io::Error) -> Self {
        let way_out = match source.kind() {
            io::ErrorKind::PermissionDenied => {
                "its owner and root may ask it: run this as one of them"
            }
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                "is one running, and not switched off? `pinscope run` starts one; --socket names another's \
                 socket"
            }
            _ => "--socket names another's socket",
        };
        Self::NoAgent {
            socket: socket.to_owned(),
            way_out,
            source,
        }
    }

    /// Whether what was refused may be there a moment later: memory, also where a cgroup's limit
    /// keeps it, file descriptors, or room for what is printed.
    pub(crate) fn is_transient(&self) -> bool {
        let is_transient = |it: i32| [libc::ENOMEM, libc::EMFILE, libc::ENFILE].contains(&it);
        match self {
            Self::NoHook(it) => {
                let mut refusals = it.rejected.iter().filter_map(|it| it.1.errno());
                refusals.any(is_transient)
            }
            Self::Print { .. } => true,
            other => errno(other).is_some_and(is_transient),
        }
    }
}

impl From<Obstacle> for AgentError {
    fn from(obstacle: Obstacle) -> Self {
        match obstacle {
            Obstacle::Closed(why) => Self::NotTraceable(why),
            Obstacle::NoHook(it) => Self::NoHook(it),
        }
    }
}

fn faults(count: usize) -> String {
    match count {
        1 => "a fault".to_owned(),
        more => format!("{more} faults"),
    }
}

/// An error with its causes, on one line: attaching has them three deep, and a
/// verifier's refusal is pages long, of which the end says why.
pub(crate) fn chain(error: &dyn Error) -> String {
    const HEAD: usize = 200;
    const TAIL: usize = 600;
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(it) = source {
        text = format!("{text}: {it}");
        source = it.source();
    }
    let line = text.lines().map(str::trim).collect::<Vec<_>>().join("; ");
    let letters = line.chars().count();
    if letters <= HEAD + TAIL {
        return line;
    }
    let head: String = line.chars().take(HEAD).collect();
    let tail: String = line.chars().skip(letters - TAIL).collect();
    format!("{head} [..] {tail}")
}

/// What a system call answered, if one is behind the error.
pub(crate) fn errno(error: &(dyn Error + 'static)) -> Option<i32> {
    let answered = error.downcast_ref::<io::Error>();
    match answered.and_then(io::Error::raw_os_error) {
        Some(code) => Some(code),
        None => errno(error.source()?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_system_call_answered_is_found_behind_other_errors() {
        let source = io::Error::from_raw_os_error(libc::EINVAL);
        let error = AgentError::System {
            what: "cannot",
            source,
        };
        assert_eq!(errno(&error), Some(libc::EINVAL));
        assert_eq!(errno(&AgentError::Refused(String::new())), None);
    }

    #[test]
    fn a_verifiers_log_is_cut_to_its_beginning_and_its_end() {
        let log = format!(
            "load failed\n{}\nthe reason",
            "an instruction\n".repeat(9999)
        );
        let line = chain(&io::Error::other(log));
        assert!(
            line.len() < 1000 && line.starts_with("load failed; "),
            "{line}"
        );
        assert!(line.ends_with("; the reason"), "{line}");
    }
}
