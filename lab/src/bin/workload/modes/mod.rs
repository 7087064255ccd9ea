//! The workloads, one file each. Every mode takes its own arguments and the session,
//! and returns what it counted; none looks at what another does.

pub(crate) mod blocked_pin;
pub(crate) mod changed;
pub(crate) mod churn;
pub(crate) mod crowd;
pub(crate) mod demo;
pub(crate) mod direct_read;
pub(crate) mod direct_storm;
pub(crate) mod dirty;
pub(crate) mod hold;
pub(crate) mod late_end;
pub(crate) mod leak;
pub(crate) mod longterm_pin;
pub(crate) mod owners;
pub(crate) mod private;
pub(crate) mod rdma_region;
pub(crate) mod referenced;
pub(crate) mod refused_pin;
pub(crate) mod ring_flood;
pub(crate) mod timed;
pub(crate) mod together;
pub(crate) mod udmabuf;
pub(crate) mod uring_fixed;
pub(crate) mod vhost_log;
pub(crate) mod vmsplice;
pub(crate) mod xdp_umem;
pub(crate) mod zap_race;
pub(crate) mod zerocopy;
