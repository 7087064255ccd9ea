//! A guest's init in parts, one per thing that it does; leaves out their order, which is `bin/init.rs`.

pub mod collect;
pub mod command;
pub mod disks;
pub mod forward;
pub mod job;
pub mod line;
pub mod modules;
pub mod mounts;
pub mod processes;
pub mod system;
pub mod verdict;
