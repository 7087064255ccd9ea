//! One kernel that can do everything, and what the plan makes of it when something is missing.

use super::*;
use crate::facts::{Methods, Range, Support};

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
    assert_eq!(step.rejected, [("folio_mkclean", Reject::NotInKernel)]);
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
        step.rejected[0].1,
        Reject::Prototype { argument: 0, .. }
    ));
}

#[test]
fn a_kernel_without_trampolines_falls_back_to_kprobes() {
    let mut facts = capable();
    facts.methods.fentry = Support::No("locked down".to_owned());
    assert_eq!(mkclean(&facts, Attach::Auto).usable[0].1, [Method::Kprobe]);
    assert!(mkclean(&facts, Attach::Fentry).stays_unattached());
}

#[test]
fn a_function_that_ftrace_cannot_hook_is_rejected() {
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
    assert_eq!(step.rejected[0].1, Reject::TooManyArguments(1));
}

#[test]
fn calls_on_other_memory_are_hooked_apart_where_the_kernel_takes_them_apart() {
    let step = |facts: &Facts| {
        let all = plan(facts, Attach::Auto);
        all.into_iter()
            .find(|it| it.hook.name == "remote_calls_in_flight")
            .unwrap()
    };
    let mut facts = capable();
    assert!(step(&facts).not_needed);
    let long = "unsigned long";
    let mut remote = function(&["struct mm_struct *", long, long]);
    remote.fentry_refused = true;
    facts
        .functions
        .insert("__get_user_pages_remote".to_owned(), remote);
    let step = step(&facts);
    assert_eq!(step.usable[0].1, [Method::Kprobe]);
    assert!(!step.not_needed);
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
        step.rejected
            .contains(&("bio_release_pages.part.0", Reject::Part))
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
        facts.symbols.insert(name.to_owned(), Range::default());
    }
    let steps = plan(&facts, Attach::Auto);
    let zap = steps.iter().find(|step| step.hook.name == "zap").unwrap();
    assert_eq!(zap.rejected[0].1, Reject::AddressHidden);
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

/// A preemptible kernel that interrupts release in.
fn preemptible() -> Facts {
    let mut facts = capable();
    facts.preemptible = true;
    facts
        .functions
        .insert("unpin_user_page".to_owned(), function(&["struct page *"]));
    facts.symbols = [("__preempt_count", 0x1000), ("__per_cpu_offset", 0x2000)]
        .into_iter()
        .map(|(name, start)| (name.to_owned(), Range { start, end: 0 }))
        .collect();
    facts
}

fn methods_of_a_release(facts: &Facts, attach: Attach) -> Vec<Method> {
    let steps = plan(facts, attach);
    let step = steps
        .iter()
        .find(|step| step.hook.name == "unpin_user_page");
    step.unwrap().usable[0].1.clone()
}

#[test]
fn where_a_task_may_lose_its_cpu_what_interrupts_release_is_hooked_in_both_ways() {
    let facts = preemptible();
    let both = [Method::Both, Method::Fentry, Method::Kprobe];
    assert_eq!(methods_of_a_release(&facts, Attach::Auto), both);
    assert_eq!(
        methods_of_a_release(&facts, Attach::Kprobe),
        [Method::Kprobe]
    );
    // As the operator or the kernel wants it.
    let mut closed = preemptible();
    closed.methods.kprobe = Support::No("closed".to_owned());
    assert_eq!(
        methods_of_a_release(&closed, Attach::Auto),
        [Method::Fentry]
    );
    let mut kept = preemptible();
    kept.preemptible = false;
    assert_eq!(methods_of_a_release(&kept, Attach::Auto), both[1..]);
    // The two cannot tell calls apart.
    for symbol in ["__preempt_count", "__per_cpu_offset"] {
        let mut hidden = preemptible();
        hidden.symbols.remove(symbol);
        assert_eq!(methods_of_a_release(&hidden, Attach::Auto), both[1..]);
    }
    // In arm64 it is a member of the task.
    let mut of_task = preemptible();
    of_task.symbols.clear();
    for member in ["task_struct.thread_info", "thread_info.preempt_count"] {
        of_task.members.insert(member.to_owned(), 0);
    }
    assert_eq!(methods_of_a_release(&of_task, Attach::Auto), both);
}
