//! One page-table entry of the page, and the zap that may take it.
//!
//! Each entry has a page table, and so a lock, of its own: two mappings of one page never share one.

use estimator::trace::ZapStep;

use crate::scenario::{Lock, Scenario, Setting};

/// What stands in the page table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Content {
    Writable,
    ReadOnly,
    Empty,
    Marker(u8),
    /// The page table is freed.
    Gone,
}

/// How far its zap has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Zap {
    NotBegun,
    Cleared,
    Marked,
    Decremented,
    Dropped,
    Freed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Entry {
    pub(crate) content: Content,
    pub(crate) zap: Zap,
    pub(crate) shared: bool,
    /// The zap must leave a marker.
    marks: bool,
}

impl Entry {
    pub(crate) const SHARED: Self = Self {
        content: Content::Writable,
        zap: Zap::NotBegun,
        shared: true,
        marks: false,
    };

    /// A private mapping maps the page of the file read-only: a write would copy it.
    pub(crate) const PRIVATE: Self = Self {
        content: Content::ReadOnly,
        zap: Zap::NotBegun,
        shared: false,
        marks: false,
    };

    pub(crate) fn is_present(self) -> bool {
        matches!(self.content, Content::Writable | Content::ReadOnly)
    }

    /// It counts in the mapcount.
    pub(crate) fn is_mapped(self) -> bool {
        self.zap < Zap::Decremented
    }

    /// Its mapping holds a reference.
    pub(crate) fn holds_reference(self) -> bool {
        self.zap < Zap::Dropped
    }

    /// The zap of this entry has begun, and counts are still to change.
    pub(crate) fn is_being_zapped(self, scenario: &Scenario) -> bool {
        match self.zap {
            Zap::Cleared | Zap::Marked => true,
            Zap::Decremented => scenario.reads_references(),
            Zap::NotBegun | Zap::Dropped | Zap::Freed => false,
        }
    }

    /// Its zap holds the page-table lock.
    pub(crate) fn is_locked_by_zap(self, lock: Lock) -> bool {
        lock == Lock::Held && matches!(self.zap, Zap::Cleared | Zap::Marked)
    }

    /// The next step of its zap, if there is one.
    pub(crate) fn next_zap(self, scenario: &Scenario, combined: u32) -> Option<ZapStep> {
        match self.zap {
            Zap::NotBegun => Some(ZapStep::Clear),
            Zap::Cleared if self.marks => Some(ZapStep::Mark(combined)),
            Zap::Cleared | Zap::Marked => Some(ZapStep::Decrement),
            Zap::Decremented if scenario.reads_references() => Some(ZapStep::Drop),
            Zap::Decremented | Zap::Dropped if scenario.setting == Setting::Freed => {
                Some(ZapStep::Free)
            }
            Zap::Decremented | Zap::Dropped | Zap::Freed => None,
        }
    }

    pub(crate) fn zap(&mut self, step: ZapStep, setting: Setting) {
        match step {
            ZapStep::Clear => {
                self.marks = self.shared
                    && (setting != Setting::Literal || self.content == Content::Writable);
                self.content = Content::Empty;
                self.zap = Zap::Cleared;
            }
            ZapStep::Mark(count) => {
                self.content = Content::Marker(u8::try_from(count).unwrap_or(u8::MAX));
                self.zap = Zap::Marked;
            }
            ZapStep::Decrement => self.zap = Zap::Decremented,
            ZapStep::Drop => self.zap = Zap::Dropped,
            ZapStep::Free => {
                self.content = Content::Gone;
                self.zap = Zap::Freed;
            }
        }
    }
}
