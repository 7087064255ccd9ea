//! What the running kernel is and offers, asked once at start.
//!
//! What is asked for, and what follows from the answers, is the crate `hooks`'.

mod btf;
mod btf_index;
mod methods;
mod pid_namespace;
mod plain_btf;
mod preemption;
mod symbols;
mod trial;

use std::{collections::BTreeMap, fs};

use hooks::{
    ENUMERATORS, Facts, Function, HOOKS, MEMBERS, Methods, SIZES, SURE_ARGUMENTS, SYMBOLS,
};

pub(crate) use btf::KernelBtf;
pub(crate) use methods::{Lockdown, Privileges, has_loop, lockdown};
pub(crate) use symbols::{tracefs, untraceable};

use super::sys;
use crate::error::AgentError;

/// Asks the running kernel. Loads trial programs and opens a kprobe to learn
/// which ways to attach there are, and removes them. Which functions ftrace can hook is left open
/// where nothing depends on it: the kernel's list costs more than to be refused.
pub(crate) fn gather(btf: &KernelBtf) -> Result<Facts, AgentError> {
    let names: Vec<&str> = HOOKS
        .iter()
        .flat_map(|hook| hook.candidates)
        .map(|candidate| candidate.symbol)
        .collect();
    let data = [SYMBOLS, &[preemption::MODE, pid_namespace::LOCK]].concat();
    let mut symbols = symbols::addresses(&names, &data, btf)?;
    let mode = symbols.remove(preemption::MODE);
    let no_trampolines = pid_namespace::obstacle(symbols.remove(pid_namespace::LOCK).is_some());
    let forbidden = symbols::kprobe_blacklist();
    let mut functions = BTreeMap::new();
    for name in names {
        let whole = symbols::whole(name);
        let arguments = btf.arguments(whole.unwrap_or(name))?;
        let is_there = arguments.is_some() && whole.is_none();
        if is_there || symbols.contains_key(name) {
            functions.insert(
                name.to_owned(),
                Function {
                    arguments,
                    traceable: None,
                    kprobe_forbidden: forbidden.contains(name),
                    part: whole.is_some(),
                    fentry_refused: false,
                },
            );
        }
    }
    let methods = try_methods(&mut functions, btf, no_trampolines);
    let mut facts = Facts {
        release: release(),
        page_bytes: sys::page_bytes(),
        functions,
        symbols,
        methods,
        ..Facts::default()
    };
    try_long_functions(&mut facts, btf);
    for (structure, member) in MEMBERS {
        if let Some(offset) = btf.offset(structure, member)? {
            facts
                .members
                .insert(format!("{structure}.{member}"), offset);
        }
    }
    for structure in SIZES {
        if let Some(size) = btf.size(structure)? {
            facts.sizes.insert((*structure).to_owned(), size);
        }
    }
    for enumerator in ENUMERATORS {
        if let Some(value) = btf.enumerator(enumerator) {
            facts.enumerators.insert((*enumerator).to_owned(), value);
        }
    }
    facts.preemptible = preemption::preemptible(mode.map(|it| it.start).filter(|it| *it != 0));
    Ok(facts)
}

/// Tries the ways to attach with a function that either should take. Where fentry is refused, it may
/// be for that function: then one is tried that ftrace can hook.
fn try_methods(
    functions: &mut BTreeMap<String, Function>,
    btf: &KernelBtf,
    no_trampolines: Option<String>,
) -> Methods {
    let ordinary = |functions: &BTreeMap<String, Function>| {
        let mut all = functions.iter();
        let found = all.find(|(_, it)| it.is_ordinary());
        found.map(|(name, _)| name.clone())
    };
    let probe = |function: Option<&str>| {
        let id = function.and_then(|it| btf.function_id(it));
        methods::probe(function, id, no_trampolines.clone())
    };
    let first = ordinary(functions);
    let methods = probe(first.as_deref());
    if methods.fentry.usable() || no_trampolines.is_some() {
        return methods;
    }
    read_traceable(functions);
    match ordinary(functions) {
        second if second == first => methods,
        second => probe(second.as_deref()),
    }
}

/// Has the kernel's list say which of them ftrace can hook, for who reports before anything is refused.
pub(crate) fn read_traceable(functions: &mut BTreeMap<String, Function>) {
    let names: Vec<_> = functions.keys().map(String::as_str).collect();
    let Some(traceable) = symbols::traceable(&names) else {
        return;
    };
    for (name, function) in functions {
        function.traceable = Some(traceable.contains(name));
    }
}

/// Where trampolines take few arguments, a program for a function of many loads and is then
/// refused.
fn try_long_functions(facts: &mut Facts, btf: &KernelBtf) {
    if !facts.methods.fentry.usable() {
        return;
    }
    for (name, function) in &mut facts.functions {
        let arguments = function.arguments.as_ref().map_or(0, Vec::len);
        if arguments > SURE_ARGUMENTS && function.traceable != Some(false) {
            let id = btf.function_id(name);
            function.fentry_refused = id.is_some_and(|id| trial::attach_fentry(id).is_err());
        }
    }
}

/// `uname -r`, for messages.
pub(crate) fn release() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease")
        .map_or_else(|_| "unknown".to_owned(), |it| it.trim().to_owned())
}
