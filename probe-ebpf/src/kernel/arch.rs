//! What is different from one architecture to the next, and cannot be learnt from
//! the running kernel: how it calls functions, and how a stack of it reads.
//!
//! A port is a file that implements [`Arch`] for [`This`], and its name here and in
//! `xtask/src/arch.rs`. Leaves out where arguments are,
//! which aya knows, and everything that BTF tells.

mod port;
#[cfg_attr(bpf_target_arch = "x86_64", path = "arch/x86_64.rs")]
#[cfg_attr(bpf_target_arch = "aarch64", path = "arch/aarch64.rs")]
mod this;

pub(crate) use port::{Arch, This};
