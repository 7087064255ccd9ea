//! A hook: what it is attached to, and what the self-test says of it.

use ::hooks::{MAPCOUNT_DECREMENT, PTES_FOUND, ZAP};
use verdicts::Inputs;

use crate::{
    kernel::attach::HookState,
    selftest::{Findings, Tested},
};

/// One hook of the catalogue on this kernel.
#[derive(Clone, Debug)]
pub(crate) struct Hook {
    pub(crate) state: HookState,
    pub(crate) tested: Tested,
}

impl Hook {
    /// Each hook with what was found of it.
    pub(crate) fn all(states: Vec<HookState>, findings: &Findings) -> Vec<Self> {
        let tested = |name| {
            let found = findings.tested.get(name).cloned();
            let why = "the self-test did not come to it";
            found.unwrap_or_else(|| Tested::Untested(why.to_owned()))
        };
        states
            .into_iter()
            .map(|state| Self {
                tested: tested(state.name),
                state,
            })
            .collect()
    }

    /// What the estimators are told by these.
    pub(crate) fn inputs(hooks: &[Self]) -> Inputs {
        let sees = |name| hooks.iter().any(|it| it.state.name == name && it.sees());
        Inputs {
            ptes: sees(PTES_FOUND),
            zaps: sees(ZAP) && sees(MAPCOUNT_DECREMENT),
        }
    }

    /// The hook of this name, where the kernel has what it is for.
    pub(crate) fn find<'a>(hooks: &'a [Self], name: &str) -> Option<&'a Self> {
        let mut hooks = hooks.iter();
        hooks.find(|it| it.state.name == name && !it.state.not_needed)
    }

    /// Whether what it sees can be believed.
    pub(crate) fn sees(&self) -> bool {
        self.state.attached.is_some() && !matches!(self.tested, Tested::Failed(_))
    }
}
