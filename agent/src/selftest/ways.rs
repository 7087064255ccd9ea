//! What the self-test goes through each hook by, and where nothing can: who alone
//! calls the function. In words for the operator; leaves out doing it.

use std::fmt;

/// How a hook can be tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// By this, where the kernel lets the agent and goes that way.
    By(&'static str),
    /// By nothing: its only callers.
    Never(&'static str),
}

impl Way {
    /// Why a hook is untested, if nothing else is known of it.
    pub(super) fn excuse(self) -> String {
        match self {
            Self::By(what) => {
                format!("nothing went through it; this kernel has another way for {what}")
            }
            Self::Never(callers) => {
                format!("it cannot be gone through: it is called by {callers} only")
            }
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::By(what) => write!(f, "would be tested by {what}"),
            Self::Never(callers) => write!(f, "not tested: it is called by {callers} only"),
        }
    }
}

/// By hook; every hook of the catalogue is here.
const WAYS: &[(&str, Way)] = &[
    (
        "get_user_pages",
        Way::Never("SGX, KVM, uprobes and drivers"),
    ),
    ("get_user_pages_fast", Way::By("a splice and a direct read")),
    (
        "get_user_pages_fast_only",
        Way::By("page faults that a perf event samples"),
    ),
    ("get_user_pages_remote", Way::By("reading /proc/self/mem")),
    (
        "get_user_pages_unlocked",
        Way::By("a splice of pages that are not there yet"),
    ),
    ("get_user_pages_locked", Way::By("get_mempolicy()")),
    (
        "pin_user_pages",
        Way::By("the memory of an AF_XDP socket or the fixed buffer of an io_uring"),
    ),
    (
        "pin_user_pages_fast",
        Way::By("a direct read and the fixed buffer of an io_uring"),
    ),
    ("pin_user_pages_fast_only", Way::Never("graphics drivers")),
    ("pin_user_pages_remote", Way::By("process_vm_readv()")),
    (
        "pin_user_pages_unlocked",
        Way::Never("KVM and drivers of video capture"),
    ),
    (
        "pin_user_pages_locked",
        Way::Never("drivers from elsewhere"),
    ),
    ("memfd_pin_folios", Way::By("a dma-buf of /dev/udmabuf")),
    (
        "folio_add_pin",
        Way::Never("direct I/O of file systems such as FAT and NTFS"),
    ),
    ("folio_add_pins", Way::Never("IOMMUFD")),
    (
        "pins_undone",
        Way::Never("longterm pins of folios that have to move"),
    ),
    (
        "unpin_user_page",
        Way::By("a buffer ring or the fixed buffer of an io_uring"),
    ),
    ("unpin_user_pages", Way::By("process_vm_readv()")),
    (
        "unpin_user_pages_dirty_lock",
        Way::By("process_vm_writev()"),
    ),
    (
        "unpin_user_page_range_dirty_lock",
        Way::Never("RDMA, VFIO and IOMMUFD"),
    ),
    (
        "unpin_user_folio",
        Way::By("a direct read and the fixed buffer of an io_uring"),
    ),
    ("unpin_folio", Way::By("a dma-buf of /dev/udmabuf")),
    (
        "unpin_folios",
        Way::Never("IOMMUFD, and the kernel itself where it takes pins back"),
    ),
    ("bio_release", Way::By("a direct read")),
    ("mkclean", Way::By("a page of a file written back")),
    ("ptes_found", Way::By("a page of a file written back")),
    ("zap", Way::By("an unmap during a writeback")),
    ("mapcount_decrement", Way::By("an unmap")),
];

/// How this hook can be tested.
pub(crate) fn way(hook: &str) -> Way {
    let found = WAYS.iter().find(|(name, _)| *name == hook);
    found.map_or(Way::Never("unknown functions"), |(_, way)| *way)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hooks::HOOKS;

    #[test]
    fn every_hook_has_a_way_or_a_reason_and_no_other_name_has() {
        let hooks: Vec<_> = HOOKS.iter().map(|it| it.name).collect();
        let named: Vec<_> = WAYS.iter().map(|(name, _)| *name).collect();
        assert_eq!(hooks, named);
    }
}
