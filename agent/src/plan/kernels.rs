//! The plan and the layout for every kernel whose facts are in `agent/facts`,
//! dumped in the lab by `pinscope verify`.

use std::collections::BTreeMap;

use super::*;
use crate::{facts::Support, kernel_layout};

const KERNELS: &[(&str, &str)] = &[
    ("5.10", include_str!("../../facts/5.10.json")),
    ("6.1", include_str!("../../facts/6.1.json")),
    ("6.12", include_str!("../../facts/6.12.json")),
    ("6.16", include_str!("../../facts/6.16.json")),
    ("6.17", include_str!("../../facts/6.17.json")),
    ("6.18", include_str!("../../facts/6.18.json")),
    ("6.19", include_str!("../../facts/6.19.json")),
    ("7.0", include_str!("../../facts/7.0.json")),
    ("7.1", include_str!("../../facts/7.1.json")),
    ("7.2", include_str!("../../facts/7.2.json")),
    ("7.3", include_str!("../../facts/7.3.json")),
];

/// The facts of each kernel, with both ways to attach open: 5.10's trial says
/// that neither is, for want of a helper, and its functions are of interest.
fn kernels() -> BTreeMap<&'static str, Facts> {
    KERNELS
        .iter()
        .map(|(name, text)| {
            let mut facts: Facts = serde_json::from_str(text).unwrap();
            facts.methods.fentry = Support::Yes;
            facts.methods.kprobe = Support::Yes;
            (*name, facts)
        })
        .collect()
}

fn chosen(facts: &Facts, hook: &str) -> Option<&'static str> {
    let steps = plan(facts, Attach::Auto);
    let step = steps.into_iter().find(|it| it.hook.name == hook).unwrap();
    step.usable.first().map(|(candidate, _)| candidate.symbol)
}

#[test]
fn each_kernel_has_its_own_name_for_the_walk_the_zap_and_the_decrement() {
    for (kernel, facts) in kernels() {
        let old = ["5.10", "6.1"].contains(&kernel);
        let new = ["7.1", "7.2", "7.3"].contains(&kernel);
        let walk = if kernel == "5.10" {
            "page_mkclean"
        } else {
            "folio_mkclean"
        };
        let zap = if new {
            "__zap_vma_range"
        } else {
            "unmap_page_range"
        };
        let decrement = if old {
            "page_remove_rmap"
        } else {
            "folio_remove_rmap_ptes"
        };
        let bio = match kernel {
            "5.10" => Some("bio_release_pages"),
            "6.1" => Some("__bio_release_pages"),
            _ => None,
        };
        assert_eq!(chosen(&facts, "mkclean"), Some(walk), "{kernel}");
        assert_eq!(chosen(&facts, "zap"), Some(zap), "{kernel}");
        assert_eq!(
            chosen(&facts, "mapcount_decrement"),
            Some(decrement),
            "{kernel}"
        );
        assert_eq!(chosen(&facts, "bio_release"), bio, "{kernel}");
    }
}

#[test]
fn no_kernel_is_blind_anywhere() {
    for (kernel, facts) in kernels() {
        for attach in [Attach::Auto, Attach::Fentry, Attach::Kprobe] {
            let steps = plan(&facts, attach);
            let blind: Vec<_> = steps
                .iter()
                .filter(|step| step.is_blind())
                .map(|step| (step.hook.name, &step.passed_over))
                .collect();
            assert!(blind.is_empty(), "{kernel} {attach:?}: {blind:?}");
            assert!(fatal(&steps).is_none(), "{kernel}");
        }
    }
}

#[test]
fn one_removed_function_gives_the_next_candidate_or_nothing_and_touches_no_other_hook() {
    for (kernel, facts) in kernels() {
        let before = plan(&facts, Attach::Auto);
        for step in before.iter().filter(|step| !step.usable.is_empty()) {
            let symbol = step.usable[0].0.symbol;
            let mut less = facts.clone();
            less.functions.remove(symbol);
            less.symbols.remove(symbol);
            for (old, new) in before.iter().zip(plan(&less, Attach::Auto)) {
                let first = |step: &Step| step.usable.first().map(|it| it.0.symbol);
                if old.hook.name == step.hook.name {
                    let next = old.usable.get(1).map(|it| it.0.symbol);
                    assert_eq!(first(&new), next, "{kernel} without {symbol}");
                } else {
                    assert_eq!(first(&new), first(old), "{kernel} without {symbol}");
                }
            }
        }
    }
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
        assert!(step.is_blind(), "{kernel}");
        let told = step.passed_over[0].1.to_string();
        assert_eq!(
            told, "argument 2 is `unsigned int`, expected `struct page **`",
            "{kernel}"
        );
    }
}

#[test]
fn every_kernel_has_a_layout_and_a_missing_member_is_named() {
    for (kernel, mut facts) in kernels() {
        let layout = kernel_layout::layout(&facts).unwrap();
        let mask = ["7.1", "7.2", "7.3"].contains(&kernel);
        assert_eq!(layout.compound_is_mask, u32::from(mask), "{kernel}");
        // kernel-layout: 5.10 kept it in the third page, 6.1 at 88, later ones at 92.
        let pincount = match kernel {
            "5.10" => 144,
            "6.1" => 88,
            _ => 92,
        };
        assert_eq!(layout.pincount, pincount, "{kernel}");
        assert_ne!(layout.preempt_count, 0, "{kernel}");
        facts.members.remove("page._refcount");
        let error = kernel_layout::layout(&facts).unwrap_err().to_string();
        assert!(error.contains("page._refcount"), "{kernel}: {error}");
    }
}
