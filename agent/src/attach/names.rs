//! Which programs of the object serve a candidate, by their names.

use super::HookState;
use crate::{
    catalogue::{At, Candidate},
    plan::{Method, Step},
};

/// The hook with each program that serves it.
pub(super) fn programs_of(hook: &HookState, step: &Step) -> Vec<(&'static str, String)> {
    let Some((symbol, method)) = hook.serving else {
        return Vec::new();
    };
    let mut candidates = step.usable.iter();
    let candidate = candidates.find(|(it, _)| it.symbol == symbol);
    let names = candidate.map_or_else(Vec::new, |(it, _)| program_names(it, method));
    names.into_iter().map(|name| (hook.name, name)).collect()
}

/// What a second program's name ends with.
const RELIEF: &str = "_relief";

/// Whether it is one that makes up for what another was kept from.
pub(super) fn is_relief(program: &str) -> bool {
    program.ends_with(RELIEF)
}

/// Return before entry, so that no entry is left without its return; the relief
/// before what it relieves, which alone does nothing.
pub(super) fn program_names(candidate: &Candidate, method: Method) -> Vec<String> {
    let Some(probe) = candidate.probe else {
        return Vec::new();
    };
    let (entry, exit) = match method {
        Method::Fentry => ("fentry", "fexit"),
        Method::Kprobe => ("kprobe", "kretprobe"),
        Method::Stack => return Vec::new(),
    };
    let halves: &[&str] = match candidate.at {
        At::Entry => &[entry],
        At::EntryRelieved if method == Method::Fentry => &["relief", entry],
        At::EntryRelieved => &[entry],
        At::Return => &[exit],
        At::EntryAndReturn => &[exit, entry],
        At::Stack => &[],
    };
    halves
        .iter()
        .map(|half| format!("{probe}_{half}"))
        .collect()
}
