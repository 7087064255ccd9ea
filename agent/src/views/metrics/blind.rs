//! What the attached hooks do not see: metrics that are made from it would be wrong.

use hooks::Feeds;

use crate::{collect::Hook, selftest::Tested};

/// What no hook sees, or one that failed its test would have to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Blind(Vec<Feeds>);

impl Blind {
    pub(super) fn of(hooks: &[Hook]) -> Self {
        let feeds = |it: &Hook| hooks::hook(it.state.name).map(|it| it.feeds);
        let failed = hooks
            .iter()
            .filter(|it| matches!(it.tested, Tested::Failed(_)));
        let fed: Vec<Feeds> = hooks
            .iter()
            .filter(|it| it.sees())
            .filter_map(feeds)
            .collect();
        let unattached = hooks
            .iter()
            .filter(|it| it.state.attached.is_none() && !it.state.not_needed);
        let unfed = unattached.filter_map(feeds).filter(|it| !fed.contains(it));
        Self(failed.filter_map(feeds).chain(unfed).collect())
    }

    pub(super) fn has(&self, input: Feeds) -> bool {
        self.0.contains(&input)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::attach::HookState;
    use hooks::Method;

    fn hook(name: &'static str, is_attached: bool, tested: Tested) -> Hook {
        let state = HookState {
            name,
            attached: is_attached.then_some((name, Method::Kprobe)),
            rejected: Vec::new(),
            not_needed: false,
        };
        Hook { state, tested }
    }

    #[test]
    fn what_a_failed_hook_feeds_is_blind_even_if_others_feed_it_too() {
        let failed = Tested::Failed("saw 0 of 16".to_owned());
        let blind = Blind::of(&[
            hook("pin_user_pages", true, Tested::Passed),
            hook("pin_user_pages_fast", true, failed),
            hook("get_user_pages_fast", true, Tested::Passed),
        ]);
        assert!(blind.has(Feeds::Pins) && !blind.has(Feeds::References));
    }

    #[test]
    fn what_an_unattached_hook_would_feed_is_blind_if_nothing_else_feeds_it() {
        let untested = || Tested::Untested(String::new());
        let mut hooks = vec![
            hook("bio_release", false, untested()),
            hook("pin_user_pages", true, untested()),
            hook("pin_user_pages_remote", false, untested()),
        ];
        let blind = Blind::of(&hooks);
        assert!(blind.has(Feeds::ReferencesReleased) && !blind.has(Feeds::Pins));
        hooks[0].state.not_needed = true;
        assert_eq!(Blind::of(&hooks), Blind::default());
    }
}
