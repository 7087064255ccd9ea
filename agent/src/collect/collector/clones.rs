//! Buffers that an io_uring may have taken over before the agent started.

use super::Collector;
use crate::owners::registry::OwnerInfo;

impl Collector {
    /// With the last pin from before the start they are gone.
    pub(super) fn forget_old_clones(&self) {
        if !self.settings.are_only_cloned_before() || self.continuity.is_under_way() {
            return;
        }
        let is_old = |owner| {
            let known = self.directory.owner(owner);
            known.is_some_and(OwnerInfo::is_preexisting)
        };
        if self.balance.preexisting == 0 && !self.adder.owners().any(is_old) {
            self.settings.may_be_cloned_before(false);
        }
    }
}
