//! Every hook there is: what it is for, which symbols can serve it, best first,
//! and the arguments that its probe relies on.
//!
//! The only place that names kernel functions. What a given kernel makes of it
//! is decided in `plan`.

use crate::hook::{At, Candidate, Context, Family, Hook, Need};

const fn gup(name: &'static str, candidates: &'static [Candidate]) -> Hook {
    Hook {
        name,
        family: Family::Gup,
        need: Need::IfPresent,
        candidates,
    }
}

const fn release(name: &'static str, candidates: &'static [Candidate]) -> Hook {
    Hook {
        name,
        family: Family::Release,
        need: Need::IfPresent,
        candidates,
    }
}

const fn call(symbol: &'static str, prototype: &'static [(usize, &'static str)]) -> Candidate {
    Candidate {
        symbol,
        probe: Some(symbol),
        at: At::Call,
        context: Context::Task,
        prototype,
    }
}

/// The kernel's own way of giving pins back in a longterm call, where the folios have
/// to move. By that argument, which came with `memfd_pin_folios()`, it is of Linux 6.11
/// or later; by the call graphs of 6.12 and later, functions of the GUP family do not
/// call each other.
const fn undo(symbol: &'static str, prototype: &'static [(usize, &'static str)]) -> Candidate {
    Candidate {
        probe: Some("undo"),
        at: At::EntryAndReturn,
        ..call(symbol, prototype)
    }
}

const fn entry(symbol: &'static str, prototype: &'static [(usize, &'static str)]) -> Candidate {
    Candidate {
        symbol,
        probe: Some(symbol),
        at: At::Entry,
        context: Context::Any,
        prototype,
    }
}

/// The same, where what is missed would be missing from the totals for good.
const fn entry_with_fallback(
    symbol: &'static str,
    prototype: &'static [(usize, &'static str)],
) -> Candidate {
    Candidate {
        at: At::EntryWithFallback,
        ..entry(symbol, prototype)
    }
}

/// At its entry, for a function that sleeps or is called by tasks only.
const fn entry_of_tasks(
    symbol: &'static str,
    prototype: &'static [(usize, &'static str)],
) -> Candidate {
    Candidate {
        context: Context::Task,
        ..entry(symbol, prototype)
    }
}

const fn on_stack(symbol: &'static str) -> Candidate {
    Candidate {
        symbol,
        probe: None,
        at: At::Stack,
        context: Context::Any,
        prototype: &[],
    }
}

const FLAGS_2_PAGES_3: &[(usize, &str)] = &[(2, "unsigned int"), (3, "struct page **")];
const FLAGS_3_PAGES_4: &[(usize, &str)] = &[(3, "unsigned int"), (4, "struct page **")];
const PAGES_2_FLAGS_3: &[(usize, &str)] = &[(2, "struct page **"), (3, "unsigned int")];

/// Writeback's walk.
pub const MKCLEAN: &str = "mkclean";

/// The page-table entries that it finds.
pub const PTES_FOUND: &str = "ptes_found";

/// The unmap that races with it.
pub const ZAP: &str = "zap";

/// What the unmap takes off the mapcount.
pub const MAPCOUNT_DECREMENT: &str = "mapcount_decrement";

/// A hook by its name.
#[must_use]
pub fn hook(name: &str) -> Option<&'static Hook> {
    HOOKS.iter().find(|it| it.name == name)
}

/// The catalogue.
pub const HOOKS: &[Hook] = &[
    gup("get_user_pages", &[call("get_user_pages", FLAGS_2_PAGES_3)]),
    gup(
        "get_user_pages_fast",
        &[call("get_user_pages_fast", FLAGS_2_PAGES_3)],
    ),
    gup(
        "get_user_pages_fast_only",
        &[call("get_user_pages_fast_only", FLAGS_2_PAGES_3)],
    ),
    gup(
        "get_user_pages_remote",
        &[call("get_user_pages_remote", FLAGS_3_PAGES_4)],
    ),
    gup(
        "get_user_pages_unlocked",
        &[call("get_user_pages_unlocked", PAGES_2_FLAGS_3)],
    ),
    gup(
        "get_user_pages_locked",
        &[call("get_user_pages_locked", FLAGS_2_PAGES_3)],
    ),
    gup("pin_user_pages", &[call("pin_user_pages", FLAGS_2_PAGES_3)]),
    gup(
        "pin_user_pages_fast",
        &[call("pin_user_pages_fast", FLAGS_2_PAGES_3)],
    ),
    gup(
        "pin_user_pages_fast_only",
        &[call("pin_user_pages_fast_only", FLAGS_2_PAGES_3)],
    ),
    gup(
        "pin_user_pages_remote",
        &[call("pin_user_pages_remote", FLAGS_3_PAGES_4)],
    ),
    gup(
        "pin_user_pages_unlocked",
        &[call("pin_user_pages_unlocked", PAGES_2_FLAGS_3)],
    ),
    gup(
        "pin_user_pages_locked",
        &[call("pin_user_pages_locked", FLAGS_2_PAGES_3)],
    ),
    gup(
        "memfd_pin_folios",
        // It gives them back itself when it fails.
        &[Candidate {
            at: At::EntryAndReturn,
            ..call("memfd_pin_folios", &[(3, "struct folio **")])
        }],
    ),
    gup(
        "folio_add_pin",
        &[call("folio_add_pin", &[(0, "struct folio *")])],
    ),
    gup(
        "folio_add_pins",
        &[call(
            "folio_add_pins",
            &[(0, "struct folio *"), (1, "unsigned int")],
        )],
    ),
    Hook {
        name: "pins_undone",
        family: Family::Gup,
        need: Need::Optional,
        candidates: &[
            undo(
                "migrate_longterm_unpinnable_folios",
                &[(1, "struct pages_or_folios *")],
            ),
            // What the compiler made it part of, on 6.16 and 6.17.
            undo(
                "check_and_migrate_movable_pages_or_folios",
                &[(0, "struct pages_or_folios *")],
            ),
        ],
    },
    release(
        "unpin_user_page",
        &[entry_with_fallback(
            "unpin_user_page",
            &[(0, "struct page *")],
        )],
    ),
    release(
        "unpin_user_pages",
        &[entry_of_tasks(
            "unpin_user_pages",
            &[(0, "struct page **"), (1, "unsigned long")],
        )],
    ),
    release(
        "unpin_user_pages_dirty_lock",
        &[entry_of_tasks(
            "unpin_user_pages_dirty_lock",
            &[(0, "struct page **"), (1, "unsigned long"), (2, "bool")],
        )],
    ),
    release(
        "unpin_user_page_range_dirty_lock",
        &[entry_of_tasks(
            "unpin_user_page_range_dirty_lock",
            &[(0, "struct page *"), (1, "unsigned long"), (2, "bool")],
        )],
    ),
    release(
        "unpin_user_folio",
        &[entry_with_fallback(
            "unpin_user_folio",
            &[(0, "struct folio *"), (1, "unsigned long")],
        )],
    ),
    release(
        "unpin_folio",
        &[entry_of_tasks("unpin_folio", &[(0, "struct folio *")])],
    ),
    release(
        "unpin_folios",
        &[entry_of_tasks(
            "unpin_folios",
            &[(0, "struct folio **"), (1, "unsigned long")],
        )],
    ),
    Hook {
        name: "bio_release",
        family: Family::Release,
        need: Need::Unless("BIO_PAGE_PINNED"),
        candidates: &[
            Candidate {
                symbol: "__bio_release_pages",
                probe: Some("bio_release"),
                at: At::Entry,
                context: Context::Any,
                prototype: &[(0, "struct bio *")],
            },
            // What the compiler made of its larger half, where it split it: the
            // function itself is then a test of one flag, which callers beside it
            // have inlined.
            Candidate {
                symbol: "bio_release_pages.part.0",
                probe: Some("bio_release"),
                at: At::Entry,
                context: Context::Any,
                prototype: &[(0, "struct bio *")],
            },
            Candidate {
                symbol: "bio_release_pages",
                probe: Some("bio_release"),
                at: At::Entry,
                context: Context::Any,
                prototype: &[(0, "struct bio *")],
            },
        ],
    },
    Hook {
        name: MKCLEAN,
        family: Family::Mkclean,
        need: Need::Required,
        candidates: &[
            Candidate {
                symbol: "folio_mkclean",
                probe: Some("mkclean"),
                at: At::EntryAndReturn,
                context: Context::Any,
                prototype: &[(0, "struct folio *")],
            },
            Candidate {
                symbol: "page_mkclean",
                probe: Some("mkclean"),
                at: At::EntryAndReturn,
                context: Context::Any,
                prototype: &[(0, "struct page *")],
            },
        ],
    },
    Hook {
        name: PTES_FOUND,
        family: Family::Mkclean,
        need: Need::Wanted,
        candidates: &[Candidate {
            symbol: "page_vma_mapped_walk",
            probe: Some("page_vma_mapped_walk"),
            at: At::Return,
            context: Context::Any,
            prototype: &[],
        }],
    },
    Hook {
        name: ZAP,
        family: Family::Zap,
        need: Need::Wanted,
        // Inlined on every kernel seen so far; first all the same, and behind
        // it the callers that it was inlined into, newest name first.
        candidates: &[
            on_stack("zap_pte_range"),
            on_stack("__zap_vma_range"),
            on_stack("unmap_page_range"),
        ],
    },
    Hook {
        name: MAPCOUNT_DECREMENT,
        family: Family::Zap,
        need: Need::Wanted,
        candidates: &[
            entry(
                "folio_remove_rmap_ptes",
                &[(0, "struct folio *"), (1, "struct page *"), (2, "int")],
            ),
            entry("page_remove_rmap", &[(0, "struct page *")]),
        ],
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_hook_has_one_name_and_at_least_one_candidate() {
        let mut names = BTreeSet::new();
        for hook in HOOKS {
            assert!(names.insert(hook.name), "{} twice", hook.name);
            assert!(
                !hook.candidates.is_empty(),
                "{} without candidates",
                hook.name
            );
        }
    }

    #[test]
    fn zap_pte_range_comes_first() {
        let zap = hook(ZAP).unwrap();
        assert_eq!(zap.candidates[0].symbol, "zap_pte_range");
    }
}
