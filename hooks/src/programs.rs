//! Which programs of the object serve a candidate, by their names.

use crate::{
    attach::Method,
    hook::{At, Candidate, Need},
    plan::Step,
};

/// Whether an fentry program goes with the fexit program of a call (`At::Call`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entries {
    /// Calls nest, or nothing else tells what they roll back.
    Needed,
    /// The return tells it all.
    Elided,
}

/// Whether a function of the GUP family may call another. `seen` is whether this kernel was seen to
/// do so, if that is known. Where the kernel's own rollback has no hook, the entries of calls tell
/// what rolls back, and are needed as if calls did nest.
#[must_use]
pub fn calls_nest(steps: &[Step], seen: Option<bool>) -> bool {
    let mut optional = steps.iter().filter(|it| it.hook.need == Need::Optional);
    seen != Some(false) || optional.all(|it| it.usable.is_empty())
}

/// As planned: entries are elided where calls do not nest and some call is hooked by fentry.
#[must_use]
pub fn entries(steps: &[Step], calls_nest: bool) -> Entries {
    let by_fentry = |step: &Step| {
        step.usable.first().is_some_and(|(candidate, methods)| {
            candidate.at == At::Call && methods.first() == Some(&Method::Fentry)
        })
    };
    match !calls_nest && steps.iter().any(by_fentry) {
        true => Entries::Elided,
        false => Entries::Needed,
    }
}

/// What a second program is called behind the probe's name.
const FALLBACK: &str = "fallback";

/// Whether it is one that makes up for runs that another was kept from.
#[must_use]
pub fn is_fallback(program: &str) -> bool {
    program.rsplit_once('_').is_some_and(|it| it.1 == FALLBACK)
}

/// Return before entry, so that no entry is left without its return; the fallback, which alone
/// does nothing, before the program that it makes up for.
#[must_use]
pub fn program_names(candidate: &Candidate, method: Method, entries: Entries) -> Vec<String> {
    let Some(probe) = candidate.probe else {
        return Vec::new();
    };
    let (entry, exit) = match method {
        Method::Fentry => ("fentry", "fexit"),
        Method::Kprobe | Method::Both => ("kprobe", "kretprobe"),
        Method::Stack => return Vec::new(),
    };
    let halves: &[&str] = match candidate.at {
        At::Entry => &[entry],
        At::EntryWithFallback if method != Method::Kprobe => &[FALLBACK, entry],
        At::EntryWithFallback => &[entry],
        At::Return => &[exit],
        At::Call if method == Method::Fentry && entries == Entries::Elided => &[exit],
        At::EntryAndReturn | At::Call => &[exit, entry],
        At::Stack => &[],
    };
    halves
        .iter()
        .map(|half| format!("{probe}_{half}"))
        .collect()
}

/// How many programs the steps take at most, attached as each likes best.
#[must_use]
pub fn most_programs(steps: &[Step]) -> u64 {
    let of = |(candidate, methods): &(&'static Candidate, Vec<Method>)| {
        let programs = methods.iter();
        programs
            .map(|it| program_names(candidate, *it, Entries::Needed).len())
            .max()
            .unwrap_or(0)
    };
    let most = steps
        .iter()
        .map(|it| it.usable.iter().map(of).max().unwrap_or(0) as u64);
    most.sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        catalogue::{HOOKS, MKCLEAN, ROLLBACK, hook},
        hook::{Family, Hook},
    };

    fn programs(name: &str, method: Method, entries: Entries) -> Vec<String> {
        let hook = hook(name).unwrap();
        program_names(&hook.candidates[0], method, entries)
    }

    #[test]
    fn a_call_whose_entry_is_elided_is_seen_at_its_return_alone_by_fentry() {
        let pin = |method, entries| programs("pin_user_pages_fast", method, entries);
        let (entry, exit) = ("pin_user_pages_fast_fentry", "pin_user_pages_fast_fexit");
        assert_eq!(pin(Method::Fentry, Entries::Elided), [exit]);
        assert_eq!(pin(Method::Fentry, Entries::Needed), [exit, entry]);
        // A kretprobe does not have the arguments any more.
        assert_eq!(
            pin(Method::Kprobe, Entries::Elided),
            pin(Method::Kprobe, Entries::Needed)
        );
    }

    #[test]
    fn a_release_that_interrupts_make_has_a_program_for_the_calls_that_another_was_kept_from() {
        let release = |method| programs("unpin_user_page", method, Entries::Needed);
        let fallback = "unpin_user_page_fallback";
        assert_eq!(
            release(Method::Fentry),
            [fallback, "unpin_user_page_fentry"]
        );
        assert_eq!(release(Method::Both), [fallback, "unpin_user_page_kprobe"]);
        assert_eq!(release(Method::Kprobe), ["unpin_user_page_kprobe"]);
    }

    #[test]
    fn what_elides_the_entries_of_calls_is_attached_before_them() {
        let place = |is: fn(&Hook) -> bool| HOOKS.iter().position(is).unwrap();
        let elides = place(|it| it.need == Need::Optional);
        let is_call = |it: &Hook| it.candidates.iter().any(|it| it.at == At::Call);
        // From the end of the catalogue to its beginning.
        assert!(!HOOKS[elides..].iter().any(is_call));
        assert!(elides < place(|it| it.family == Family::Release));
    }

    #[test]
    fn what_rolls_back_in_itself_is_seen_at_its_entry_too() {
        for hook in ["memfd_pin_folios", ROLLBACK, MKCLEAN] {
            assert_eq!(programs(hook, Method::Fentry, Entries::Elided).len(), 2);
        }
    }
}
