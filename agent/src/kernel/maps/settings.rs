//! What the running probes are told, through a mapping that they share: the zero
//! page, and how many folios the ledger keeps.

use std::{
    mem::offset_of,
    sync::atomic::{AtomicU64, Ordering},
};

use aya::maps::MapData;

use super::mapped::Shared;
use crate::error::AgentError;

/// The one value of `SETTINGS`.
pub(crate) struct Settings(Shared);

impl Settings {
    pub(crate) fn map(data: &MapData) -> Result<Self, AgentError> {
        Shared::new(data, "SETTINGS", size_of::<probe_abi::Settings>()).map(Self)
    }

    /// The ledger key of a page whose pins do not count.
    pub(crate) fn leave_out(&self, zero_page: u64) {
        self.0
            .word(offset_of!(probe_abi::Settings, zero_page))
            .store(zero_page, Ordering::Release);
    }

    /// The value of `FOLL_LONGTERM`, where BTF does not tell the probes.
    pub(crate) fn learn_longterm_flag(&self, flag: u32) {
        self.0
            .word(offset_of!(probe_abi::Settings, longterm_flag))
            .store(u64::from(flag), Ordering::Release);
    }

    /// An io_uring may take over the buffers of another one, and no program sees it.
    pub(crate) fn clones_are_unseen(&self) {
        self.cloned()
            .store(probe_abi::Settings::CLONED, Ordering::Release);
    }

    /// One may have done so before the agent started, or can no longer have done so.
    pub(crate) fn may_be_cloned_before(&self, may: bool) {
        let (from, to) = match may {
            true => (0, probe_abi::Settings::CLONED_BEFORE),
            false => (probe_abi::Settings::CLONED_BEFORE, 0),
        };
        // Where a clone was seen, that holds.
        let _known = self
            .cloned()
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Whether one may have done so before the agent started, and that is all.
    pub(crate) fn are_only_cloned_before(&self) -> bool {
        self.cloned().load(Ordering::Acquire) == probe_abi::Settings::CLONED_BEFORE
    }

    fn cloned(&self) -> &AtomicU64 {
        self.0.word(offset_of!(probe_abi::Settings, buffers_cloned))
    }

    /// The first stratum that the ledger keeps; 0 is all of them.
    pub(crate) fn level(&self) -> u64 {
        self.0
            .word(offset_of!(probe_abi::Settings, level))
            .load(Ordering::Acquire)
    }

    /// Lets the ledger keep one stratum more, unless the probes have just raised
    /// the level. Whether it did.
    pub(crate) fn lower(&self, level: u64) -> bool {
        level > 0
            && self
                .0
                .word(offset_of!(probe_abi::Settings, level))
                .compare_exchange(level, level - 1, Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
    }
}
