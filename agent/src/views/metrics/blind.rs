//! What the attached hooks do not see: metrics that are made from it would be wrong.

use std::collections::BTreeSet;

use hooks::{Family, HOOKS};

use crate::{collect::Hook, selftest::Tested};

/// What hooks see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Input {
    /// Pins that are taken, and that are given back.
    Pins,
    Releases,
    /// Plain references that are taken, and that are given back.
    References,
    ReferenceReleases,
    /// Walks of mkclean.
    Walks,
    /// Mapcount decrements by zaps.
    Zaps,
}

/// What no hook sees, or one that failed its test would have to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Blind(BTreeSet<Input>);

impl Blind {
    pub(super) fn of(hooks: &[Hook]) -> Self {
        let inputs = |it: &Hook| fed_by(it.state.name).to_vec();
        let failed = hooks
            .iter()
            .filter(|it| matches!(it.tested, Tested::Failed(_)));
        let fed: BTreeSet<Input> = hooks
            .iter()
            .filter(|it| it.sees())
            .flat_map(inputs)
            .collect();
        let unattached = hooks
            .iter()
            .filter(|it| it.state.attached.is_none() && !it.state.not_needed);
        let unfed = unattached.flat_map(inputs).filter(|it| !fed.contains(it));
        Self(failed.flat_map(inputs).chain(unfed).collect())
    }

    pub(super) fn has(&self, input: Input) -> bool {
        self.0.contains(&input)
    }
}

/// What a hook sees.
fn fed_by(hook: &str) -> &'static [Input] {
    let family = HOOKS.iter().find(|it| it.name == hook).map(|it| it.family);
    match (family, hook) {
        (Some(Family::Gup), _) if hook.starts_with("get_") => &[Input::References],
        // Without it what calls roll back is told by the kernel's count alone.
        (Some(Family::Gup), "pins_undone") => &[],
        (Some(Family::Gup), _) => &[Input::Pins],
        (Some(Family::Release), "bio_release") => &[Input::ReferenceReleases],
        (Some(Family::Release), _) => &[Input::Releases],
        (Some(Family::Mkclean), "mkclean") => &[Input::Walks, Input::Zaps],
        (Some(Family::Zap), _) => &[Input::Zaps],
        // Without it verdicts are uncertain, and say so themselves.
        (Some(Family::Mkclean) | None, _) => &[],
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
        assert!(blind.has(Input::Pins) && !blind.has(Input::References));
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
        assert!(blind.has(Input::ReferenceReleases) && !blind.has(Input::Pins));
        hooks[0].state.not_needed = true;
        assert_eq!(Blind::of(&hooks), Blind::default());
    }
}
