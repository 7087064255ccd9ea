//! What the workload asks of the kernel, one file for each thing asked; all unsafe
//! code of the workload is below here (and the signal handler). No mode lives here.

pub(crate) mod aio;
pub(crate) mod cross_memory;
pub(crate) mod device;
pub(crate) mod fault_gate;
pub(crate) mod files;
pub(crate) mod folios;
pub(crate) mod fork;
pub(crate) mod futex;
pub(crate) mod heir;
pub(crate) mod held_pins;
pub(crate) mod huge_pool;
pub(crate) mod mapping;
pub(crate) mod memfd;
pub(crate) mod memory;
pub(crate) mod mute_disk;
pub(crate) mod nodes;
pub(crate) mod pipe;
pub(crate) mod rdma_link;
pub(crate) mod udmabuf;
pub(crate) mod uring;
pub(crate) mod uring_queue;
pub(crate) mod verbs;
pub(crate) mod vhost;
pub(crate) mod word;
pub(crate) mod xdp;
pub(crate) mod zerocopy;
