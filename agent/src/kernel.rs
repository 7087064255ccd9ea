//! The kernel, as the agent deals with it: what it offers, the probes attached to it, what they
//! share with us, and its own counters. The only room that asks it for anything by `bpf(2)`.

pub(crate) mod attach;
pub(crate) mod census;
pub(crate) mod facts;
pub(crate) mod ftrace;
pub(crate) mod function_names;
pub(crate) mod inspect;
mod instructions;
mod jit;
pub(crate) mod judgement;
pub(crate) mod kallsyms;
pub(crate) mod kprobes;
pub(crate) mod limits;
mod lines;
pub(crate) mod maps;
pub(crate) mod process;
pub(crate) mod small_file;
mod symbol_list;
mod symbol_lookup;
pub(crate) mod sys;
pub(crate) mod vmstat;
