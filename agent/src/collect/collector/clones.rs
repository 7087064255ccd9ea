//! Buffers that an io_uring may have taken over before the agent started.

use crate::{
    kernel::maps::Settings,
    owners::{directory::Directory, registry::OwnerInfo},
};

/// With the last pin from before the start they are gone. `owners`: all that have pins.
pub(super) fn forget_old(
    settings: &Settings,
    directory: &Directory,
    mut owners: impl Iterator<Item = u32>,
) {
    let is_old = |owner| {
        let known = directory.owner(owner);
        known.is_some_and(OwnerInfo::is_preexisting)
    };
    if settings.are_only_cloned_before() && !owners.any(is_old) {
        settings.may_be_cloned_before(false);
    }
}
