//! What the catalogue is made of: a hook, the functions that can serve it, and what is known of
//! each.

use crate::{exercise::Test, prototype::Prototype};

/// A logical hook: one fact about pinned memory, however a kernel names it.
#[derive(Clone, Copy, Debug)]
pub struct Hook {
    /// Name in metrics, logs and reports.
    pub name: &'static str,
    /// What it tells.
    pub family: Family,
    /// What it means when nothing can serve it.
    pub need: Need,
    /// What is counted there.
    pub feeds: Feeds,
    /// What the self-test can do about it.
    pub test: Test,
    /// Functions that can serve it, best first.
    pub candidates: &'static [Candidate],
}

/// What the hooks of a family tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// References taken.
    Gup,
    /// References released.
    Release,
    /// Writeback's walk over the mappings of a folio.
    Mkclean,
    /// Unmaps that race with it.
    Zap,
}

impl Family {
    /// In reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gup => "gup",
            Self::Release => "release",
            Self::Mkclean => "mkclean",
            Self::Zap => "zap",
        }
    }
}

/// What is counted at a hook, and by that which metrics it feeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feeds {
    /// Pins taken (`FOLL_PIN`).
    Pins,
    /// Plain references taken (`FOLL_GET`).
    References,
    /// Pins released.
    PinsReleased,
    /// Plain references released.
    ReferencesReleased,
    /// Walks of writeback.
    Walks,
    /// Zaps during them.
    Zaps,
    /// Nothing: it tells other hooks or the judge what it sees, and they say so themselves where
    /// it does not.
    Nothing,
}

/// What it means when no candidate can serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Without it there is nothing to observe: the agent does not start.
    Required,
    /// If the kernel has the function, it must be hooked; a kernel without it
    /// has nothing to see there.
    IfPresent,
    /// A verdict's input: without it that input is unknown.
    Wanted,
    /// Only on kernels whose direct I/O takes plain references, which are those
    /// without this enumerator.
    Unless(&'static str),
    /// Saves other hooks the program at their entry; they do without.
    Optional,
}

/// One way to serve a hook.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// The kernel function.
    pub symbol: &'static str,
    /// Stem of the probe's name in the object; `None` for a function that is
    /// only recognised on the stack.
    pub probe: Option<&'static str>,
    /// Where in the function its probe runs.
    pub at: At,
    /// Who calls the function.
    pub context: Context,
    /// Arguments that the probe reads.
    pub prototype: Prototype,
}

/// Who calls the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// Tasks only. A kprobe is not interrupted by another task, and an fentry
    /// program is, on a preemptible kernel.
    Task,
    /// Interrupts too. A kprobe does not fire in an interrupt that comes in on
    /// top of another one, and an fentry program of another function runs.
    Any,
}

/// Where in the function its probe runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// Where it begins.
    Entry,
    /// With a second program, the fallback, for nested calls (in an interrupt): the kernel
    /// skips a program that would interrupt itself.
    EntryWithFallback,
    /// Where it returns.
    Return,
    /// Both.
    EntryAndReturn,
    /// At its return, where its arguments are still there to see. At its entry as
    /// well where they are not (kprobes), and where entries tell what else is not
    /// known: what was called by another function of the family, and what rolls pins
    /// back itself.
    Call,
    /// Nowhere: its address range is looked for on the stack.
    Stack,
}
