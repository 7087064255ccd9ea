//! One error type for the daemon; each variant is something an operator can act on.

use std::{io, net::SocketAddr, path::PathBuf};

use thiserror::Error;

/// What can keep the agent from starting, or end it.
#[derive(Debug, Error)]
pub(crate) enum AgentError {
    #[error(
        "cannot trace this kernel: {0}; `pinscope doctor` lists what is missing and the way out"
    )]
    NotTraceable(String),

    #[error("no hook for `{hook}` on kernel {release}; tried {tried}")]
    NoHook {
        hook: &'static str,
        release: String,
        tried: String,
    },

    #[error("cannot load the eBPF object")]
    Load(#[source] Box<aya::EbpfError>),

    #[error("cannot use the eBPF map `{name}`: {reason}")]
    Map { name: &'static str, reason: String },

    #[error("cannot listen on {address}")]
    Listen {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },

    #[error("cannot read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },

    #[error("the kernel's BTF has no {0}")]
    NotInBtf(String),

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
    /// Whether the agent never started: nothing was observed, and something
    /// outside has to change first.
    pub(crate) fn is_at_start(&self) -> bool {
        match self {
            Self::NotTraceable(_)
            | Self::NoHook { .. }
            | Self::Load(_)
            | Self::Map { .. }
            | Self::Listen { .. }
            | Self::NotInBtf(_)
            | Self::Btf(_) => true,
            Self::Read { .. } | Self::Metrics(_) | Self::System { .. } => false,
        }
    }
}
