//! Every hook there is: what it is for, which symbols can serve it, best first, and the arguments
//! that its probe relies on.
//!
//! Functions that take or release references are rows of `probe-abi/src/functions.rs`; the others
//! are here. These two are the only places that name kernel functions. What a given kernel makes
//! of it is decided in `plan`.

use crate::{
    exercise::{Exercise, Test},
    functions::{GUP, RELEASE},
    hook::{At, Candidate, Context, Family, Feeds, Hook, Need},
    prototype::Prototype,
};

/// The kernel's own rollback of pins.
pub const ROLLBACK: &str = "pins_rolled_back";

/// Writeback's walk.
pub const MKCLEAN: &str = "mkclean";

/// The page-table entries that it finds.
pub const PTES_FOUND: &str = "ptes_found";

/// The unmap that races with it.
pub const ZAP: &str = "zap";

/// What the unmap takes off the mapcount.
pub const MAPCOUNT_DECREMENT: &str = "mapcount_decrement";

/// An io_uring's taking over of another one's buffers.
pub const BUFFERS_CLONED: &str = "buffers_cloned";

/// The catalogue.
pub const HOOKS: &[Hook] = &joined::<{ GUP.len() + RELEASE.len() + OTHERS.len() + 1 }>();

/// The kernel's own way of releasing pins in a longterm call, where the folios have to move. Where
/// it is hooked, and functions of the GUP family do not call each other, the return of a call tells
/// all that there is to know of it. Whether they do is found out by the self-test.
const ROLLED_BACK: Hook = Hook {
    name: ROLLBACK,
    family: Family::Gup,
    need: Need::Optional,
    feeds: Feeds::Nothing,
    test: Test::OnlyCalledBy("longterm pins of folios that have to move"),
    candidates: &[
        rollback("migrate_longterm_unpinnable_folios", 1),
        // What the compiler made it part of, on 6.16 and 6.17.
        rollback("check_and_migrate_movable_pages_or_folios", 0),
    ],
};

const OTHERS: &[Hook] = &[
    Hook {
        name: "bio_release",
        family: Family::Release,
        need: Need::Unless("BIO_PAGE_PINNED"),
        feeds: Feeds::ReferencesReleased,
        test: Test::By(&[Exercise::DirectRead]),
        candidates: &[
            entry("__bio_release_pages", "bio_release", BIO),
            // What the compiler made of its larger half, where it split it: the
            // function itself is then a test of one flag, which callers beside it
            // have inlined.
            entry("bio_release_pages.part.0", "bio_release", BIO),
            entry("bio_release_pages", "bio_release", BIO),
        ],
    },
    Hook {
        name: BUFFERS_CLONED,
        family: Family::Release,
        need: Need::IfPresent,
        feeds: Feeds::Nothing,
        test: Test::OnlyCalledBy("an io_uring that takes over the buffers of another one"),
        candidates: &[Candidate {
            context: Context::Task,
            ..entry(
                "io_register_clone_buffers",
                "clone_buffers",
                Prototype::NONE,
            )
        }],
    },
    Hook {
        name: "calls_in_flight",
        family: Family::Gup,
        need: Need::Wanted,
        feeds: Feeds::Nothing,
        test: Test::OnlyCalledBy("calls that do not find all of their pages in the page tables"),
        // All of the GUP family come here before they may sleep, or to the next one.
        candidates: &[in_flight("__gup_longterm_locked", "in_flight")],
    },
    Hook {
        name: "remote_calls_in_flight",
        family: Family::Gup,
        need: Need::IfPresent,
        feeds: Feeds::Nothing,
        test: Test::OnlyCalledBy("calls on another process's memory, or on what waits for a fault"),
        // Before 6.2, where calls that are not longterm went past the one above.
        candidates: &[in_flight("__get_user_pages_remote", "in_flight_remote")],
    },
    Hook {
        name: MKCLEAN,
        family: Family::Mkclean,
        need: Need::Required,
        feeds: Feeds::Walks,
        test: Test::By(&[Exercise::Writeback]),
        candidates: &[
            Candidate {
                at: At::EntryAndReturn,
                ..entry("folio_mkclean", "mkclean", FOLIO)
            },
            Candidate {
                at: At::EntryAndReturn,
                ..entry("page_mkclean", "mkclean", PAGE)
            },
        ],
    },
    Hook {
        name: PTES_FOUND,
        family: Family::Mkclean,
        need: Need::Wanted,
        feeds: Feeds::Nothing,
        test: Test::By(&[Exercise::Writeback]),
        candidates: &[Candidate {
            at: At::Return,
            ..entry(
                "page_vma_mapped_walk",
                "page_vma_mapped_walk",
                Prototype::NONE,
            )
        }],
    },
    Hook {
        name: ZAP,
        family: Family::Zap,
        need: Need::Wanted,
        feeds: Feeds::Zaps,
        test: Test::By(&[Exercise::UnmapInWriteback]),
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
        feeds: Feeds::Zaps,
        test: Test::By(&[Exercise::Unmap]),
        candidates: &[
            entry(
                "folio_remove_rmap_ptes",
                "folio_remove_rmap_ptes",
                Prototype::three((0, "struct folio *"), (1, "struct page *"), (2, "int")),
            ),
            entry("page_remove_rmap", "page_remove_rmap", PAGE),
        ],
    },
];

const BIO: Prototype = Prototype::one((0, "struct bio *"));
const FOLIO: Prototype = Prototype::one((0, "struct folio *"));
const PAGE: Prototype = Prototype::one((0, "struct page *"));

/// At its entry, whoever calls it.
const fn entry(symbol: &'static str, probe: &'static str, prototype: Prototype) -> Candidate {
    Candidate {
        symbol,
        probe: Some(probe),
        at: At::Entry,
        context: Context::Any,
        prototype,
    }
}

/// The third argument is how many pages are wanted.
const fn in_flight(symbol: &'static str, probe: &'static str) -> Candidate {
    Candidate {
        at: At::EntryAndReturn,
        context: Context::Task,
        ..entry(symbol, probe, Prototype::one((2, "unsigned long")))
    }
}

const fn rollback(symbol: &'static str, argument: usize) -> Candidate {
    Candidate {
        at: At::EntryAndReturn,
        context: Context::Task,
        ..entry(
            symbol,
            "rollback",
            Prototype::one((argument, "struct pages_or_folios *")),
        )
    }
}

const fn on_stack(symbol: &'static str) -> Candidate {
    Candidate {
        symbol,
        probe: None,
        at: At::Stack,
        context: Context::Any,
        prototype: Prototype::NONE,
    }
}

/// What takes, what rolls back, what releases, and the rest: they are attached from the end, so
/// that what a program relies on is there before it.
const fn joined<const N: usize>() -> [Hook; N] {
    let mut all = [ROLLED_BACK; N];
    let parts = [GUP, &[ROLLED_BACK], RELEASE, OTHERS];
    let (mut part, mut at) = (0, 0);
    while part < parts.len() {
        let mut row = 0;
        while row < parts[part].len() {
            all[at] = parts[part][row];
            at += 1;
            row += 1;
        }
        part += 1;
    }
    all
}

/// A hook by its name.
#[must_use]
pub fn hook(name: &str) -> Option<&'static Hook> {
    HOOKS.iter().find(|it| it.name == name)
}

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
