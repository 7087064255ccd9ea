//! Which candidates serve each hook on this kernel, and by which method: a pure filter over the
//! catalogue.

use crate::{
    attach::{Attach, Method},
    catalogue::HOOKS,
    facts::{Facts, Function},
    hook::{At, Candidate, Context, Family, Hook, Need},
    layout::shows_interrupts,
    reject::Reject,
};

/// What is to be done about one hook.
#[derive(Debug)]
pub struct Step {
    /// Which.
    pub hook: &'static Hook,
    /// Candidates that the facts allow, best first, each with the ways to
    /// attach it, best first.
    pub usable: Vec<(&'static Candidate, Vec<Method>)>,
    /// Those they do not.
    pub rejected: Vec<(&'static str, Reject)>,
    /// This kernel has nothing to see here.
    pub not_needed: bool,
}

impl Step {
    /// Whether nothing can be attached here, whatever is tried, and something should.
    #[must_use]
    pub fn stays_unattached(&self) -> bool {
        self.usable.is_empty() && !self.not_needed
    }
}

/// One step a hook, in the order of the catalogue.
#[must_use]
pub fn plan(facts: &Facts, attach: Attach) -> Vec<Step> {
    HOOKS.iter().map(|hook| step(hook, facts, attach)).collect()
}

fn step(hook: &'static Hook, facts: &Facts, attach: Attach) -> Step {
    let mut usable = Vec::new();
    let mut rejected = Vec::new();
    for candidate in hook.candidates {
        match check(candidate, facts, attach) {
            Ok(methods) => usable.push((candidate, methods)),
            Err(reject) => rejected.push((candidate.symbol, reject)),
        }
    }
    let absent = rejected.len() == hook.candidates.len()
        && rejected
            .iter()
            .all(|(_, reject)| *reject == Reject::NotInKernel);
    let not_needed = match hook.need {
        Need::Required | Need::Wanted => false,
        Need::IfPresent => absent,
        Need::Optional => usable.is_empty(),
        Need::Unless(enumerator) => facts.enumerators.contains_key(enumerator),
    };
    if not_needed {
        usable.clear();
    }
    Step {
        hook,
        usable,
        rejected,
        not_needed,
    }
}

fn check(candidate: &Candidate, facts: &Facts, attach: Attach) -> Result<Vec<Method>, Reject> {
    if candidate.at == At::Stack {
        let range = facts
            .symbols
            .get(candidate.symbol)
            .ok_or(Reject::NoAddress)?;
        return match (range.start, range.end) {
            (0, _) => Err(Reject::AddressHidden),
            (start, end) if end > start => Ok(vec![Method::Stack]),
            (_, _) => Err(Reject::NoAddress),
        };
    }
    let function = facts
        .functions
        .get(candidate.symbol)
        .ok_or(Reject::NotInKernel)?;
    if function.traceable == Some(false) {
        return Err(Reject::NotTraceable);
    }
    check_prototype(candidate, function)?;
    let fentry = function.arguments.is_some()
        && facts.methods.fentry.usable()
        && !function.fentry_refused
        && !function.part;
    let kprobe = facts.methods.kprobe.usable() && !function.kprobe_forbidden;
    let methods: Vec<Method> = match attach {
        Attach::Auto if facts.preemptible && candidate.context == Context::Task => {
            vec![(Method::Kprobe, kprobe), (Method::Fentry, fentry)]
        }
        Attach::Auto if facts.preemptible && candidate.at == At::EntryWithFallback => vec![
            // The two know a call by who calls.
            (Method::Both, kprobe && fentry && shows_interrupts(facts)),
            (Method::Fentry, fentry),
            (Method::Kprobe, kprobe),
        ],
        Attach::Auto => vec![(Method::Fentry, fentry), (Method::Kprobe, kprobe)],
        Attach::Fentry => vec![(Method::Fentry, fentry)],
        Attach::Kprobe => vec![(Method::Kprobe, kprobe)],
    }
    .into_iter()
    .filter_map(|(method, open)| open.then_some(method))
    .collect();
    match methods.is_empty() {
        false => Ok(methods),
        true if function.fentry_refused => Err(Reject::TooManyArguments(
            function.arguments.as_ref().map_or(0, Vec::len),
        )),
        true if function.part => Err(Reject::Part),
        true if function.kprobe_forbidden => Err(Reject::KprobeForbidden),
        true => Err(Reject::NoMethod(
            facts
                .methods
                .closed(attach)
                .unwrap_or_else(|| "its types are not in BTF".to_owned()),
        )),
    }
}

/// A function without a BTF entry cannot be checked and is not trusted: a
/// changed argument must make it unusable, not wrong.
fn check_prototype(candidate: &Candidate, function: &Function) -> Result<(), Reject> {
    let unknown = Vec::new();
    let arguments = function.arguments.as_ref().unwrap_or(&unknown);
    for (argument, expected) in candidate.prototype.arguments() {
        let found = arguments.get(argument).map_or("nothing", String::as_str);
        if found != expected {
            return Err(Reject::Prototype {
                argument,
                expected: expected.to_owned(),
                found: found.to_owned(),
            });
        }
    }
    Ok(())
}

/// Whether the plan can observe anything at all: a way to see pins being taken,
/// one to see them released, and the walk.
#[must_use]
pub fn fatal(steps: &[Step]) -> Option<&Step> {
    let covered = |family: Family| {
        steps
            .iter()
            .filter(|step| step.hook.need != Need::Optional)
            .any(|step| step.hook.family == family && !step.usable.is_empty())
    };
    steps.iter().find(|step| match step.hook.need {
        Need::Required => step.usable.is_empty(),
        Need::IfPresent => step.stays_unattached() && !covered(step.hook.family),
        Need::Wanted | Need::Unless(_) | Need::Optional => false,
    })
}

/// Why the plan cannot work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    /// No way to attach is open, in words for the operator.
    #[error("{0}")]
    Closed(String),
    /// A hook that cannot be done without has no function.
    #[error(transparent)]
    NoHook(#[from] NoHook),
}

/// A hook that nothing can serve, with everything that was tried.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no hook for `{hook}` on kernel {release}; tried {}", tried(rejected))]
pub struct NoHook {
    /// Its name.
    pub hook: &'static str,
    /// The kernel's.
    pub release: String,
    /// Functions, and why not.
    pub rejected: Vec<(&'static str, Reject)>,
}

fn tried(rejected: &[(&'static str, Reject)]) -> String {
    let tried: Vec<String> = rejected
        .iter()
        .map(|(symbol, reject)| format!("{symbol} ({reject})"))
        .collect();
    tried.join(", ")
}

/// Why the plan cannot work, if it cannot: what stands behind it first.
#[must_use]
pub fn obstacle(facts: &Facts, steps: &[Step], attach: Attach) -> Option<Obstacle> {
    if let Some(closed) = facts.methods.closed(attach) {
        return Some(Obstacle::Closed(closed));
    }
    let step = fatal(steps)?;
    Some(Obstacle::NoHook(NoHook {
        hook: step.hook.name,
        release: facts.release.clone(),
        rejected: step.rejected.clone(),
    }))
}

#[cfg(test)]
mod tests;
