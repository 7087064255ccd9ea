//! What the agent tells the running probes, and they tell each other.

/// The one value of the mappable array `SETTINGS`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct Settings {
    /// Ledger key of the zero page, on a kernel that takes no pin on it; 0, the
    /// key of no folio, elsewhere.
    pub zero_page: u64,
    /// Sampling level: the first [`crate::stratum`] that the ledger keeps. The
    /// probes raise it when the ledger is full, the agent lowers it.
    pub level: u64,
    /// Bits of a `struct page` address above those of a ledger key, from the
    /// first folio that was entered.
    pub page_high: u64,
    /// The value of `FOLL_LONGTERM` where BTF does not have it; 0 until it is known.
    pub longterm_flag: u64,
    /// Whether an io_uring may hold what another one pinned: 0, or one of the two below.
    pub buffers_cloned: u64,
}

impl Settings {
    /// One has taken over another one's buffers, or may have done so at any time. The probes set it,
    /// and the agent; it stays.
    pub const CLONED: u64 = 1;
    /// One may have done so before the agent started. The agent sets it while pins from then are left.
    pub const CLONED_BEFORE: u64 = 2;
}

const _: () = assert!(size_of::<Settings>() == 40);
