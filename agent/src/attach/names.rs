//! Which programs of the object serve a candidate, by their names.

use super::HookState;
use crate::{
    catalogue::{At, Candidate, Need},
    plan::{Method, Step},
};

/// Whether an fentry program goes with the fexit program of a call (`At::Call`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entries {
    /// Calls nest, or nothing else tells what they undo.
    Needed,
    /// The return tells it all.
    Spared,
}

/// Whether a function of the GUP family may call another, as far as is known.
pub(super) fn calls_nest(steps: &[Step]) -> bool {
    let mut spares = steps.iter().filter(|it| it.hook.need == Need::Spares);
    spares.all(|it| it.usable.is_empty())
}

/// As planned: entries are spared where calls do not nest and some call is hooked by fentry.
pub(super) fn entries(steps: &[Step]) -> Entries {
    let by_fentry = |step: &Step| {
        step.usable.first().is_some_and(|(candidate, methods)| {
            candidate.at == At::Call && methods.first() == Some(&Method::Fentry)
        })
    };
    match !calls_nest(steps) && steps.iter().any(by_fentry) {
        true => Entries::Spared,
        false => Entries::Needed,
    }
}

/// The hook with each program that serves it.
pub(super) fn programs_of(
    hook: &HookState,
    step: &Step,
    entries: Entries,
) -> Vec<(&'static str, String)> {
    let Some((symbol, method)) = hook.serving else {
        return Vec::new();
    };
    let mut candidates = step.usable.iter();
    let candidate = candidates.find(|(it, _)| it.symbol == symbol);
    let names = candidate.map_or_else(Vec::new, |(it, _)| program_names(it, method, entries));
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
pub(super) fn program_names(
    candidate: &Candidate,
    method: Method,
    entries: Entries,
) -> Vec<String> {
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
        At::Call if method == Method::Fentry && entries == Entries::Spared => &[exit],
        At::EntryAndReturn | At::Call => &[exit, entry],
        At::Stack => &[],
    };
    halves
        .iter()
        .map(|half| format!("{probe}_{half}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{Family, HOOKS, Hook};

    fn programs(hook: &str, method: Method, entries: Entries) -> Vec<String> {
        let hook = HOOKS.iter().find(|it| it.name == hook).unwrap();
        program_names(&hook.candidates[0], method, entries)
    }

    #[test]
    fn a_spared_call_is_seen_at_its_return_alone_by_fentry() {
        let pin = |method, entries| programs("pin_user_pages_fast", method, entries);
        let (entry, exit) = ("pin_user_pages_fast_fentry", "pin_user_pages_fast_fexit");
        assert_eq!(pin(Method::Fentry, Entries::Spared), [exit]);
        assert_eq!(pin(Method::Fentry, Entries::Needed), [exit, entry]);
        // A kretprobe does not have the arguments any more.
        assert_eq!(
            pin(Method::Kprobe, Entries::Spared),
            pin(Method::Kprobe, Entries::Needed)
        );
    }

    #[test]
    fn what_spares_pins_a_program_is_attached_before_them() {
        let place = |is: fn(&Hook) -> bool| HOOKS.iter().position(is).unwrap();
        let spares = place(|it| it.need == Need::Spares);
        let is_call = |it: &Hook| it.candidates.iter().any(|it| it.at == At::Call);
        // From the end of the catalogue to its beginning.
        assert!(!HOOKS[spares..].iter().any(is_call));
        assert!(spares < place(|it| it.family == Family::Release));
    }

    #[test]
    fn what_undoes_in_itself_is_seen_at_its_entry_too() {
        for hook in ["memfd_pin_folios", "pins_undone", "mkclean"] {
            assert_eq!(programs(hook, Method::Fentry, Entries::Spared).len(), 2);
        }
    }
}
