//! mkclean: the thread that drives the estimator's machine, and the walks it asks for.

use std::hash::Hash;

use estimator::trace::Met;
use estimator::{Ask, Compare, Estimator, Machine, Next};

use crate::entry::{Content, Entry};

/// Which walk of the page's life this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Round {
    First,
    Second,
}

/// Where mkclean stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Cleaner<C> {
    /// In it, the page lock held.
    Inside(Round, Machine<C>, Option<Walk>),
    /// In it, walking for itself: an estimator that asks for no walk is asked after mkclean's own.
    Cleaning(Round, Walk),
    /// The first one is through, the page is unlocked.
    Between,
    /// Both are through. Nothing that follows is looked at.
    Over,
}

/// A walk on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Walk {
    pub(crate) next: u8,
    pub(crate) found: u8,
}

impl<C: Compare + Hash> Cleaner<C> {
    /// The page lock is held, so no fault can make an entry writable.
    pub(crate) fn holds_page_lock(&self) -> bool {
        matches!(self, Self::Inside(..) | Self::Cleaning(..))
    }

    /// At its first step.
    pub(crate) fn entering(round: Round, estimator: Estimator, compare: C) -> Self {
        if estimator.uses_mapcount() {
            Self::Inside(round, Machine::with_compare(estimator, compare), None)
        } else {
            Self::Cleaning(round, Walk::START)
        }
    }

    /// The walk that it is about to take a step of.
    pub(crate) fn walk(&self) -> Option<(Ask, Walk)> {
        match self {
            Self::Cleaning(_, walk) => Some((Ask::Walk, *walk)),
            Self::Inside(_, machine, walk) => match machine.next() {
                Next::Ask(ask @ (Ask::Walk | Ask::MarkerWalk | Ask::RecheckWalk { .. })) => {
                    Some((ask, walk.unwrap_or(Walk::START)))
                }
                Next::Ask(_) | Next::Verdict(_) => None,
            },
            Self::Between | Self::Over => None,
        }
    }
}

impl Walk {
    pub(crate) const START: Self = Self { next: 0, found: 0 };
}

/// What the walk that was asked for makes of a shared entry; changes the entry where it cleans.
pub(crate) fn pass(ask: Ask, entry: &mut Entry) -> Met {
    match (ask, entry.content) {
        (Ask::Walk, Content::Writable | Content::ReadOnly) => {
            entry.content = Content::ReadOnly;
            Met::Present
        }
        (Ask::Walk, Content::Marker(_)) => {
            entry.content = Content::Empty;
            Met::Wiped
        }
        (Ask::MarkerWalk, Content::Marker(_)) => Met::Marker,
        (Ask::RecheckWalk { .. }, Content::Writable | Content::ReadOnly) => Met::Present,
        (Ask::RecheckWalk { read }, Content::Marker(count)) if u32::from(count) <= read => {
            Met::Marker
        }
        _ => Met::Nothing,
    }
}
