//! What the lab's host side and its guest binaries share; leaves out QEMU, which is `xtask`'s.

pub mod absent;
pub mod btf;
pub mod guest;
pub mod page;
pub mod pin_counters;
pub mod wire;
pub mod witness;
