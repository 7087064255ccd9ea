//! One trial: which hooks are to see an exercise, by the catalogue.

use hooks::{Exercise, Feeds, HOOKS};

use super::evidence::Taken;

/// One way to take references and release them: which hooks are to see it, by the catalogue.
#[derive(Clone, Debug)]
pub(super) struct Trial {
    /// Of these, one sees them taken.
    pub(super) takes: Vec<&'static str>,
    /// Of these, one sees pins released, or plain references.
    releases_pins: Vec<&'static str>,
    releases_references: Vec<&'static str>,
    /// Whether the kernel took what it was asked to, if the call succeeded.
    pub(super) is_sure: bool,
}

impl Trial {
    /// A call that succeeds has taken what it was asked to.
    pub(super) fn sure(exercise: Exercise) -> Self {
        let feeding = |wanted: &[Feeds]| names(exercise, wanted);
        Self {
            takes: feeding(&[Feeds::Pins, Feeds::References]),
            releases_pins: feeding(&[Feeds::PinsReleased]),
            releases_references: feeding(&[Feeds::ReferencesReleased]),
            is_sure: true,
        }
    }

    /// Or the kernel found another way.
    pub(super) fn unsure(exercise: Exercise) -> Self {
        Self {
            is_sure: false,
            ..Self::sure(exercise)
        }
    }

    /// Those that are to see released what was taken.
    pub(super) fn releases(&self, taken: &Taken) -> &[&'static str] {
        let takes_references =
            |function: &str| hooks::hook(function).is_some_and(|it| it.feeds == Feeds::References);
        if taken.keys().any(|(function, _)| takes_references(function)) {
            &self.releases_references
        } else {
            &self.releases_pins
        }
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<&'static str> {
        [
            self.takes.as_slice(),
            &self.releases_pins,
            &self.releases_references,
        ]
        .concat()
    }
}

/// Hooks that an exercise goes through and that count one of these.
fn names(exercise: Exercise, feeds: &[Feeds]) -> Vec<&'static str> {
    let through = HOOKS.iter().filter(|it| it.test.includes(exercise));
    through
        .filter(|it| feeds.contains(&it.feeds))
        .map(|it| it.name)
        .collect()
}
