//! What a rule makes of an answer.

use crate::{Answer, Doubt, Verdict};

/// What a rule makes of an answer: its next state, or the end.
pub(crate) enum Transition<S> {
    Then(S),
    End(Verdict),
}

impl<S> Transition<S> {
    /// The end for an answer that does not fit the question.
    pub(crate) fn refused(answer: Answer) -> Self {
        Self::End(Verdict::Uncertain(match answer {
            Answer::Unknown(missing) => Doubt::Unseen(missing),
            Answer::Flag(_)
            | Answer::Number(_)
            | Answer::Refcount(_)
            | Answer::Pincount(_)
            | Answer::Done => Doubt::Misanswered,
        }))
    }
}
