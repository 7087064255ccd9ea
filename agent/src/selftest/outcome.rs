//! What came out of a self-test: what actions said of hooks, and the verdict on each hook.

use std::collections::BTreeMap;

/// What the self-test has to say of a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tested {
    /// It saw exactly what was done.
    Passed,
    /// It did not; how.
    Failed(String),
    /// Nothing could be done that goes through it, or not told apart; why.
    Untested(String),
}

impl Tested {
    pub(crate) const OUTCOMES: [&str; 3] = ["passed", "failed", "untested"];

    pub(crate) const fn outcome(&self) -> &'static str {
        match self {
            Self::Passed => Self::OUTCOMES[0],
            Self::Failed(_) => Self::OUTCOMES[1],
            Self::Untested(_) => Self::OUTCOMES[2],
        }
    }
}

/// What several actions said of hooks: `about` are those of which one should have
/// seen it, `seen` those that did, or what was wrong.
#[derive(Clone, Debug)]
pub(super) struct Observation {
    pub(super) about: Vec<&'static str>,
    pub(super) seen: Result<Vec<&'static str>, String>,
}

/// Who of several must have failed is known once the others have passed elsewhere.
pub(super) fn resolve(observations: &[Observation]) -> BTreeMap<&'static str, Tested> {
    let mut verdicts = BTreeMap::new();
    for it in observations {
        for hook in it.seen.iter().flatten() {
            verdicts.insert(*hook, Tested::Passed);
        }
    }
    let passed: Vec<&str> = verdicts.keys().copied().collect();
    for it in observations {
        let Err(why) = &it.seen else {
            continue;
        };
        let suspects: Vec<_> = it.about.iter().filter(|it| !passed.contains(it)).collect();
        let blamed = if suspects.is_empty() {
            it.about.iter().collect()
        } else {
            suspects
        };
        for hook in blamed {
            verdicts.insert(*hook, Tested::Failed(why.clone()));
        }
    }
    verdicts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observation(
        about: &[&'static str],
        seen: Result<&[&'static str], &'static str>,
    ) -> Observation {
        Observation {
            about: about.to_vec(),
            seen: seen.map(<[_]>::to_vec).map_err(str::to_owned),
        }
    }

    #[test]
    fn of_several_the_one_fails_that_has_passed_nowhere() {
        let verdicts = resolve(&[
            observation(&["page", "folio"], Err("saw 0 of 16")),
            observation(&["page"], Ok(&["page"])),
        ]);
        assert_eq!(verdicts["page"], Tested::Passed);
        assert_eq!(verdicts["folio"], Tested::Failed("saw 0 of 16".to_owned()));
    }

    #[test]
    fn one_that_passes_here_and_fails_there_has_failed() {
        let verdicts = resolve(&[
            observation(&["page"], Err("saw 0 of 16")),
            observation(&["page"], Ok(&["page"])),
        ]);
        assert_eq!(verdicts["page"].outcome(), "failed");
    }

    #[test]
    fn nothing_learned_is_no_verdict() {
        assert!(resolve(&[observation(&["page", "folio"], Ok(&[]))]).is_empty());
    }
}
