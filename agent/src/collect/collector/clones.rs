//! Buffers that an io_uring may have taken over unseen: whose pins a ring releases is not sure then.

use ::hooks::BUFFERS_CLONED;

use crate::{
    collect::hooks::Hook,
    kernel::{maps::Settings, vmstat::PinCounts},
    owners::{directory::Directory, registry::OwnerInfo},
};

/// What may have been, by what was pinned at the start: who has cloned buffers has pins.
pub(super) fn at_start(settings: &Settings, hooks: &[Hook], started: PinCounts) {
    match Hook::find(hooks, BUFFERS_CLONED) {
        Some(hook) if !hook.sees() => settings.clones_are_unseen(),
        Some(_) => settings.may_be_cloned_before(started.outstanding() != 0),
        None => {}
    }
}

/// With the last pin from before the start such clones are gone. `owners`: all that have pins.
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
