//! Which candidate serves each hook on this kernel: a pure filter over the
//! catalogue.

mod unmet;

use serde::Serialize;

use crate::{
    catalogue::{At, Candidate, Context, Family, HOOKS, Hook, Need},
    cli::Attach,
    error::AgentError,
    facts::{Facts, Function},
};
pub(crate) use unmet::Unmet;

/// How a probe is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Method {
    /// BPF trampoline: fentry and fexit.
    Fentry,
    /// kprobe and kretprobe.
    Kprobe,
    /// Not attached; its address range is recognised on the stack.
    Stack,
}

impl Method {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Fentry => "fentry",
            Self::Kprobe => "kprobe",
            Self::Stack => "stack",
        }
    }
}

/// What is to be done about one hook.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) hook: &'static Hook,
    /// Candidates that the facts allow, best first, each with the ways to
    /// attach it, best first.
    pub(crate) usable: Vec<(&'static Candidate, Vec<Method>)>,
    /// Those they do not.
    pub(crate) passed_over: Vec<(&'static str, Unmet)>,
    /// This kernel has nothing to see here.
    pub(crate) not_needed: bool,
}

impl Step {
    /// Whether the agent is blind here, whatever is tried.
    pub(crate) fn is_blind(&self) -> bool {
        self.usable.is_empty() && !self.not_needed
    }
}

/// One step a hook, in the order of the catalogue.
pub(crate) fn plan(facts: &Facts, attach: Attach) -> Vec<Step> {
    HOOKS.iter().map(|hook| step(hook, facts, attach)).collect()
}

fn step(hook: &'static Hook, facts: &Facts, attach: Attach) -> Step {
    let mut usable = Vec::new();
    let mut passed_over = Vec::new();
    for candidate in hook.candidates {
        match check(candidate, facts, attach) {
            Ok(methods) => usable.push((candidate, methods)),
            Err(unmet) => passed_over.push((candidate.symbol, unmet)),
        }
    }
    let absent = passed_over.len() == hook.candidates.len()
        && passed_over
            .iter()
            .all(|(_, unmet)| *unmet == Unmet::NotInKernel);
    let not_needed = match hook.need {
        Need::Required | Need::Wanted => false,
        Need::IfPresent => absent,
        Need::Spares => usable.is_empty(),
        Need::Unless(enumerator) => facts.enumerators.contains_key(enumerator),
    };
    if not_needed {
        usable.clear();
    }
    Step {
        hook,
        usable,
        passed_over,
        not_needed,
    }
}

fn check(candidate: &Candidate, facts: &Facts, attach: Attach) -> Result<Vec<Method>, Unmet> {
    if candidate.at == At::Stack {
        let range = facts
            .symbols
            .get(candidate.symbol)
            .ok_or(Unmet::NoAddress)?;
        return match (range.start, range.end) {
            (0, _) => Err(Unmet::AddressHidden),
            (start, end) if end > start => Ok(vec![Method::Stack]),
            (_, _) => Err(Unmet::NoAddress),
        };
    }
    let function = facts
        .functions
        .get(candidate.symbol)
        .ok_or(Unmet::NotInKernel)?;
    if function.traceable == Some(false) {
        return Err(Unmet::NotTraceable);
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
        Attach::Auto => vec![(Method::Fentry, fentry), (Method::Kprobe, kprobe)],
        Attach::Fentry => vec![(Method::Fentry, fentry)],
        Attach::Kprobe => vec![(Method::Kprobe, kprobe)],
    }
    .into_iter()
    .filter_map(|(method, open)| open.then_some(method))
    .collect();
    match methods.is_empty() {
        false => Ok(methods),
        true if function.fentry_refused => Err(Unmet::TooManyArguments(
            function.arguments.as_ref().map_or(0, Vec::len),
        )),
        true if function.part => Err(Unmet::Part),
        true if function.kprobe_forbidden => Err(Unmet::KprobeForbidden),
        true => Err(Unmet::NoMethod(
            facts
                .methods
                .closed(attach)
                .unwrap_or_else(|| "its types are not in BTF".to_owned()),
        )),
    }
}

/// A function without a BTF entry cannot be checked and is not trusted: a
/// changed argument must make it unusable, not wrong.
fn check_prototype(candidate: &Candidate, function: &Function) -> Result<(), Unmet> {
    if candidate.prototype.is_empty() {
        return Ok(());
    }
    let unknown = Vec::new();
    let arguments = function.arguments.as_ref().unwrap_or(&unknown);
    for (argument, expected) in candidate.prototype {
        let found = arguments.get(*argument).map_or("nothing", String::as_str);
        if found != *expected {
            return Err(Unmet::Prototype {
                argument: *argument,
                expected: (*expected).to_owned(),
                found: found.to_owned(),
            });
        }
    }
    Ok(())
}

/// Whether the plan can observe anything at all: a way to see pins being taken,
/// one to see them given back, and the walk.
pub(crate) fn fatal(steps: &[Step]) -> Option<&Step> {
    let covered = |family: Family| {
        steps
            .iter()
            .filter(|step| step.hook.need != Need::Spares)
            .any(|step| step.hook.family == family && !step.usable.is_empty())
    };
    steps.iter().find(|step| match step.hook.need {
        Need::Required => step.usable.is_empty(),
        Need::IfPresent => step.is_blind() && !covered(step.hook.family),
        Need::Wanted | Need::Unless(_) | Need::Spares => false,
    })
}

/// Why the plan cannot work, if it cannot: what stands behind it first.
pub(crate) fn obstacle(facts: &Facts, steps: &[Step], attach: Attach) -> Option<AgentError> {
    if let Some(closed) = facts.methods.closed(attach) {
        return Some(AgentError::NotTraceable(closed));
    }
    let step = fatal(steps)?;
    Some(AgentError::no_hook(
        facts,
        step.hook.name,
        &step.passed_over,
    ))
}

#[cfg(test)]
mod kernels;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{Methods, Support};

    fn function(arguments: &[&str]) -> Function {
        Function {
            arguments: Some(arguments.iter().map(|it| (*it).to_owned()).collect()),
            traceable: Some(true),
            ..Function::default()
        }
    }

    fn capable() -> Facts {
        let mut facts = Facts {
            methods: Methods {
                fentry: Support::Yes,
                kprobe: Support::Yes,
            },
            ..Facts::default()
        };
        facts
            .functions
            .insert("folio_mkclean".to_owned(), function(&["struct folio *"]));
        facts
            .functions
            .insert("page_mkclean".to_owned(), function(&["struct page *"]));
        facts
    }

    fn mkclean(facts: &Facts, attach: Attach) -> Step {
        plan(facts, attach)
            .into_iter()
            .find(|step| step.hook.name == "mkclean")
            .unwrap()
    }

    #[test]
    fn the_first_candidate_is_taken_by_fentry_with_kprobe_behind_it() {
        let step = mkclean(&capable(), Attach::Auto);
        let (candidate, methods) = &step.usable[0];
        assert_eq!(candidate.symbol, "folio_mkclean");
        assert_eq!(methods, &[Method::Fentry, Method::Kprobe]);
    }

    #[test]
    fn a_removed_symbol_gives_the_next_candidate() {
        let mut facts = capable();
        facts.functions.remove("folio_mkclean");
        let step = mkclean(&facts, Attach::Auto);
        assert_eq!(step.usable[0].0.symbol, "page_mkclean");
        assert_eq!(step.passed_over, [("folio_mkclean", Unmet::NotInKernel)]);
    }

    #[test]
    fn a_changed_argument_makes_a_candidate_unusable() {
        let mut facts = capable();
        facts.functions.insert(
            "folio_mkclean".to_owned(),
            function(&["struct vm_area_struct *"]),
        );
        let step = mkclean(&facts, Attach::Auto);
        assert_eq!(step.usable[0].0.symbol, "page_mkclean");
        assert!(matches!(
            step.passed_over[0].1,
            Unmet::Prototype { argument: 0, .. }
        ));
    }

    #[test]
    fn a_kernel_without_trampolines_falls_back_to_kprobes() {
        let mut facts = capable();
        facts.methods.fentry = Support::No("locked down".to_owned());
        assert_eq!(mkclean(&facts, Attach::Auto).usable[0].1, [Method::Kprobe]);
        assert!(mkclean(&facts, Attach::Fentry).is_blind());
    }

    #[test]
    fn a_function_that_ftrace_cannot_hook_is_passed_over() {
        let mut facts = capable();
        facts.functions.get_mut("folio_mkclean").unwrap().traceable = Some(false);
        assert_eq!(
            mkclean(&facts, Attach::Auto).usable[0].0.symbol,
            "page_mkclean"
        );
    }

    #[test]
    fn a_function_on_the_blacklist_of_kprobes_is_served_by_fentry_or_named() {
        let mut facts = capable();
        facts.functions.remove("page_mkclean");
        let walk = facts.functions.get_mut("folio_mkclean").unwrap();
        walk.kprobe_forbidden = true;
        assert_eq!(mkclean(&facts, Attach::Auto).usable[0].1, [Method::Fentry]);
        let steps = plan(&facts, Attach::Kprobe);
        let told = obstacle(&facts, &steps, Attach::Kprobe)
            .unwrap()
            .to_string();
        assert!(
            told.contains("folio_mkclean") && told.contains("blacklist"),
            "{told}"
        );
    }

    #[test]
    fn a_function_of_more_arguments_than_a_trampoline_takes_needs_a_kprobe() {
        let mut facts = capable();
        let walk = facts.functions.get_mut("folio_mkclean").unwrap();
        walk.fentry_refused = true;
        assert_eq!(mkclean(&facts, Attach::Auto).usable[0].1, [Method::Kprobe]);
        let step = mkclean(&facts, Attach::Fentry);
        assert_eq!(step.usable[0].0.symbol, "page_mkclean");
        assert_eq!(step.passed_over[0].1, Unmet::TooManyArguments(1));
    }

    #[test]
    fn a_part_that_the_compiler_split_off_is_served_by_a_kprobe_or_named() {
        let mut facts = capable();
        let part = Function {
            part: true,
            ..function(&["struct bio *", "bool"])
        };
        let whole = function(&["struct bio *", "bool"]);
        for (name, it) in [
            ("bio_release_pages.part.0", part),
            ("bio_release_pages", whole),
        ] {
            facts.functions.insert(name.to_owned(), it);
        }
        let bio = |attach| {
            let steps = plan(&facts, attach);
            steps
                .into_iter()
                .find(|it| it.hook.name == "bio_release")
                .unwrap()
        };
        let step = bio(Attach::Auto);
        assert_eq!(step.usable[0].0.symbol, "bio_release_pages.part.0");
        assert_eq!(step.usable[0].1, [Method::Kprobe]);
        let step = bio(Attach::Fentry);
        assert_eq!(step.usable[0].0.symbol, "bio_release_pages");
        assert!(
            step.passed_over
                .contains(&("bio_release_pages.part.0", Unmet::Part))
        );
    }

    #[test]
    fn a_way_that_is_closed_is_told_with_the_one_that_is_open() {
        let mut facts = capable();
        facts.methods.kprobe = Support::No("they are off".to_owned());
        let told = |facts: &Facts, attach| {
            let steps = plan(facts, attach);
            obstacle(facts, &steps, attach)
                .map(|it| it.to_string())
                .unwrap_or_default()
        };
        let kprobe = told(&facts, Attach::Kprobe);
        assert!(
            kprobe.contains("they are off; fentry works here"),
            "{kprobe}"
        );
        assert!(!told(&facts, Attach::Auto).contains("they are off"));
        facts.methods.fentry = Support::No("they are off".to_owned());
        assert_eq!(
            told(&facts, Attach::Auto).matches("they are off").count(),
            1
        );
    }

    #[test]
    fn a_hidden_address_is_not_taken_for_a_missing_symbol() {
        let mut facts = capable();
        for name in ["zap_pte_range", "__zap_vma_range", "unmap_page_range"] {
            facts
                .symbols
                .insert(name.to_owned(), crate::facts::Range::default());
        }
        let steps = plan(&facts, Attach::Auto);
        let zap = steps.iter().find(|step| step.hook.name == "zap").unwrap();
        assert_eq!(zap.passed_over[0].1, Unmet::AddressHidden);
    }

    #[test]
    fn a_kernel_without_the_walk_is_fatal() {
        let mut facts = capable();
        facts.functions.clear();
        let steps = plan(&facts, Attach::Auto);
        assert_eq!(fatal(&steps).unwrap().hook.name, "mkclean");
    }

    #[test]
    fn direct_io_that_pins_needs_no_bio_hook() {
        let mut facts = capable();
        facts.functions.insert(
            "__bio_release_pages".to_owned(),
            function(&["struct bio *"]),
        );
        let bio = |facts: &Facts| {
            plan(facts, Attach::Auto)
                .into_iter()
                .find(|it| it.hook.name == "bio_release")
                .unwrap()
        };
        assert!(!bio(&facts).usable.is_empty());
        facts.enumerators.insert("BIO_PAGE_PINNED".to_owned(), 0);
        assert!(bio(&facts).not_needed && bio(&facts).usable.is_empty());
    }
}
