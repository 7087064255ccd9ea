//! The plan and the layout for every kernel whose facts are in `hooks/facts`,
//! dumped in the lab by `pinscope verify`.

mod document;

use std::{
    fs,
    path::{Path, PathBuf},
};

use hooks::{
    Attach, Entries, Facts, Method, Need, Reject, Step, Support, calls_nest, entries, fatal,
    layout, plan,
};
use probe_abi::ABSENT;

fn in_facts(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("facts")
        .join(name)
}

/// Series and facts, oldest first.
fn facts_of_each_kernel() -> Vec<(String, Facts)> {
    let mut found: Vec<_> = fs::read_dir(in_facts(""))
        .expect("there are facts")
        .flatten()
        .filter_map(|it| {
            let path = it.path();
            (path.extension()? == "json").then_some(())?;
            let text = fs::read_to_string(&path).expect("facts can be read");
            let facts = serde_json::from_str(&text).expect("facts are JSON");
            Some((path.file_stem()?.to_str()?.to_owned(), facts))
        })
        .collect();
    // Those of x86 first, which have no architecture in their names.
    found.sort_by_key(|(series, _)| {
        let (numbers, arch) = series.split_once('-').unwrap_or((series, ""));
        let numbers = numbers.split('.').map(|it| it.parse::<u32>().unwrap_or(0));
        (arch.to_owned(), numbers.collect::<Vec<_>>())
    });
    found
}

/// The same with both ways to attach open, whatever a trial said.
fn kernels() -> Vec<(String, Facts)> {
    let mut kernels = facts_of_each_kernel();
    for (_, facts) in &mut kernels {
        facts.methods.fentry = Support::Yes;
        facts.methods.kprobe = Support::Yes;
    }
    kernels
}

/// By fentry alone one does: docs/kernels.md.
#[test]
fn where_kprobes_may_help_no_hook_stays_unattached_on_any_kernel() {
    for (kernel, facts) in kernels() {
        for attach in [Attach::Auto, Attach::Kprobe] {
            let steps = plan(&facts, attach);
            let unattached: Vec<_> = steps
                .iter()
                .filter(|step| step.stays_unattached())
                .map(|step| (step.hook.name, &step.rejected))
                .collect();
            assert!(unattached.is_empty(), "{kernel} {attach:?}: {unattached:?}");
            assert!(fatal(&steps).is_none(), "{kernel}");
        }
    }
}

#[test]
fn one_removed_function_gives_the_next_candidate_or_a_stated_loss_and_touches_no_other_hook() {
    for (kernel, facts) in kernels() {
        let before = plan(&facts, Attach::Auto);
        for step in before.iter().filter(|step| !step.usable.is_empty()) {
            let symbol = step.usable[0].0.symbol;
            let mut less = facts.clone();
            less.functions.remove(symbol);
            less.symbols.remove(symbol);
            let after = plan(&less, Attach::Auto);
            let no_run = fatal(&after).map(|it| it.hook.name);
            for (old, new) in before.iter().zip(&after) {
                let first = |step: &Step| step.usable.first().map(|it| it.0.symbol);
                if old.hook.name == step.hook.name {
                    let next = old.usable.get(1).map(|it| it.0.symbol);
                    assert_eq!(first(new), next, "{kernel} without {symbol}");
                    let told = new.rejected.iter().find(|it| it.0 == symbol);
                    let why = &told.unwrap().1;
                    assert!(
                        matches!(why, Reject::NotInKernel | Reject::NoAddress),
                        "{kernel} without {symbol}: {why}"
                    );
                    if next.is_none() {
                        // A kernel without it has nothing to see there, or the hook
                        // stays unattached, or the agent does not start: as its need says.
                        let lost = (new.not_needed, new.stays_unattached(), no_run);
                        let expected = match new.hook.need {
                            Need::IfPresent | Need::Optional => (true, false, None),
                            Need::Wanted | Need::Unless(_) => (false, true, None),
                            Need::Required => (false, true, Some(new.hook.name)),
                        };
                        assert_eq!(lost, expected, "{kernel} without {symbol}");
                    }
                } else {
                    assert_eq!(first(new), first(old), "{kernel} without {symbol}");
                }
            }
        }
    }
}

#[test]
fn a_kernel_is_hooked_alike_on_every_architecture() {
    let chosen = |name: &str| -> Vec<_> {
        let (_, facts) = kernels().into_iter().find(|it| it.0 == name).unwrap();
        let steps = plan(&facts, Attach::Auto).into_iter();
        let of = |step: Step| {
            let first = step.usable.into_iter().next();
            first.map(|(candidate, methods)| (candidate.symbol, methods))
        };
        steps.map(of).collect()
    };
    assert_eq!(chosen("6.12-arm64"), chosen("6.12"));
}

#[test]
fn a_swapped_argument_is_refused_by_name_on_every_kernel() {
    for (kernel, mut facts) in kernels() {
        let function = facts.functions.get_mut("pin_user_pages_unlocked").unwrap();
        function.arguments.as_mut().unwrap().swap(2, 3);
        let steps = plan(&facts, Attach::Auto);
        let step = steps
            .iter()
            .find(|it| it.hook.name == "pin_user_pages_unlocked")
            .unwrap();
        assert!(step.stays_unattached(), "{kernel}");
        let told = step.rejected[0].1.to_string();
        assert_eq!(
            told, "argument 2 is `unsigned int`, expected `struct page **`",
            "{kernel}"
        );
    }
}

#[test]
fn every_kernel_has_a_layout_and_a_missing_member_is_named() {
    for (kernel, mut facts) in kernels() {
        let found = layout(&facts).unwrap();
        let mask = facts.members.contains_key("page.compound_info");
        assert_eq!(found.compound_is_mask, u32::from(mask), "{kernel}");
        // kernel-layout: 5.10 kept it in the third page, folios keep it in themselves.
        let of_folio = facts.members.get("folio._pincount").copied();
        assert_eq!(found.pincount, of_folio.unwrap_or(144), "{kernel}");
        // On x86 a variable of the CPU, on arm64 a member of the task.
        let of_the_cpu = found.preempt_count != 0 && found.per_cpu_offset != 0;
        let of_the_task = found.task_preempt_count != ABSENT;
        assert_eq!(of_the_task, kernel.ends_with("-arm64"), "{kernel}");
        assert_ne!(of_the_cpu, of_the_task, "{kernel}");
        // Linux 7.3 put a count below the interrupts' bits.
        let shift = if kernel == "7.3" { 24 } else { 16 };
        assert_eq!(found.hardirq_shift, shift, "{kernel}");
        facts.members.remove("page._refcount");
        let error = layout(&facts).unwrap_err().to_string();
        assert!(error.contains("page._refcount"), "{kernel}: {error}");
    }
}

#[test]
fn whatever_a_page_is_only_its_shift_is_another_in_the_layout() {
    for (kernel, mut facts) in kernels() {
        let mut wanted = layout(&facts).unwrap();
        for (page_bytes, shift) in [(4 << 10, 12), (16 << 10, 14), (64 << 10, 16)] {
            facts.page_bytes = page_bytes;
            wanted.page_shift = shift;
            assert_eq!(layout(&facts).unwrap(), wanted, "{kernel}");
        }
        facts.page_bytes = 48 << 10;
        let error = layout(&facts).unwrap_err().to_string();
        assert!(error.contains("49152"), "{kernel}: {error}");
    }
}

#[test]
fn the_kernels_way_of_rolling_pins_back_is_known_where_pin_calls_do_not_nest() {
    for (kernel, facts) in kernels() {
        for attach in [Attach::Auto, Attach::Fentry, Attach::Kprobe] {
            let steps = plan(&facts, attach);
            let optional = |it: &&Step| it.hook.need == Need::Optional;
            let step = steps.iter().find(optional).unwrap();
            let nests = ["5.10", "6.1"].contains(&kernel.as_str());
            assert_eq!(step.usable.is_empty(), nests, "{kernel} {attach:?}");
            assert!(!step.stays_unattached(), "{kernel} {attach:?}");
        }
    }
}

#[test]
fn the_entry_of_a_call_is_elided_only_where_calls_are_known_not_to_nest() {
    for (kernel, mut facts) in kernels() {
        // Where it is, calls are hooked by kprobes.
        facts.preemptible = false;
        let steps = plan(&facts, Attach::Auto);
        let rolls_back_in_sight = !["5.10", "6.1"].contains(&kernel.as_str());
        for (seen, elided) in [
            (Some(false), rolls_back_in_sight),
            (Some(true), false),
            (None, false),
        ] {
            let nest = calls_nest(&steps, seen);
            let expected = if elided {
                Entries::Elided
            } else {
                Entries::Needed
            };
            assert_eq!(entries(&steps, nest), expected, "{kernel} {seen:?}");
        }
        let by_kprobe = plan(&facts, Attach::Kprobe);
        assert_eq!(entries(&by_kprobe, false), Entries::Needed, "{kernel}");
    }
}

#[test]
fn on_a_preemptible_kernel_kprobes_come_first_and_have_fentry_behind_them_for_interrupts() {
    let (_, mut facts) = kernels()
        .into_iter()
        .find(|(name, _)| name == "7.3")
        .unwrap();
    let first = |facts: &Facts, hook: &str| {
        let steps = plan(facts, Attach::Auto);
        let step = steps.into_iter().find(|it| it.hook.name == hook).unwrap();
        step.usable[0].1[0]
    };
    facts.preemptible = true;
    assert_eq!(first(&facts, "pin_user_pages_fast"), Method::Kprobe);
    assert_eq!(first(&facts, "unpin_user_pages"), Method::Kprobe);
    // Completed I/O releases these in interrupts.
    assert_eq!(first(&facts, "unpin_user_folio"), Method::Both);
    facts.preemptible = false;
    assert_eq!(first(&facts, "pin_user_pages_fast"), Method::Fentry);
}
