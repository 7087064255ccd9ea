//! One machine for every estimator: what it wants next, and what it makes of the answer.

use crate::rules::{ledger, ordered, references, simple, two_walk};
use crate::transition::Transition;
use crate::{Answer, AsWritten, Ask, Compare, Estimator, Verdict};

/// No machine asks more often than this.
pub const MAX_STEPS: usize = 6;

/// Where a machine stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Next {
    /// It wants this.
    Ask(Ask),
    /// It has decided.
    Verdict(Verdict),
}

/// An estimator at work on one walk.
///
/// `C` decides its comparisons; everything but a mutation check uses the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Machine<C = AsWritten> {
    compare: C,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum State {
    Simple(simple::State),
    TwoWalk(two_walk::State),
    Ordered(ordered::State),
    References(references::State),
    Ledger(ledger::State),
    Ended(Verdict),
}

impl Machine {
    /// The estimator as its author wrote it.
    #[must_use]
    pub fn new(estimator: Estimator) -> Self {
        Self::with_compare(estimator, AsWritten)
    }
}

impl<C: Compare> Machine<C> {
    /// The estimator with its comparisons decided by `compare`.
    #[must_use]
    #[inline]
    pub fn with_compare(estimator: Estimator, compare: C) -> Self {
        let state = match estimator {
            Estimator::Simple => State::Simple(simple::State::START),
            Estimator::TwoWalk => State::TwoWalk(two_walk::State::AS_POSTED),
            Estimator::TwoWalkFixed => State::TwoWalk(two_walk::State::FIXED),
            Estimator::Ordered => State::Ordered(ordered::State::ONCE),
            Estimator::OrderedRecheck => State::Ordered(ordered::State::RECHECKED),
            Estimator::ExpectedRefs => State::References(references::State::EXPECTED),
            Estimator::Kernel => State::References(references::State::KERNEL),
            Estimator::Ledger => State::Ledger(ledger::State),
        };
        Self { compare, state }
    }

    /// Runs to the verdict, every question answered by `answer`.
    ///
    /// The same as giving the answers one by one, but the rule is chosen once and not at every step.
    #[inline(always)]
    pub fn run(self, answer: impl FnMut(Ask) -> Answer) -> Verdict {
        let Self { compare, state } = self;
        match state {
            State::Simple(it) => drive(
                it,
                simple::State::ask,
                |it, to| it.give(to, compare),
                answer,
            ),
            State::TwoWalk(it) => drive(
                it,
                two_walk::State::ask,
                |it, to| it.give(to, compare),
                answer,
            ),
            State::Ordered(it) => drive(
                it,
                ordered::State::ask,
                |it, to| it.give(to, compare),
                answer,
            ),
            State::References(it) => drive(
                it,
                references::State::ask,
                |it, to| it.give(to, compare),
                answer,
            ),
            State::Ledger(it) => drive(
                it,
                ledger::State::ask,
                |it, to| it.give(to, compare),
                answer,
            ),
            State::Ended(verdict) => verdict,
        }
    }

    /// What it wants, or what it decided.
    #[must_use]
    pub fn next(&self) -> Next {
        match self.state {
            State::Simple(it) => Next::Ask(it.ask()),
            State::TwoWalk(it) => Next::Ask(it.ask()),
            State::Ordered(it) => Next::Ask(it.ask()),
            State::References(it) => Next::Ask(it.ask()),
            State::Ledger(it) => Next::Ask(it.ask()),
            State::Ended(verdict) => Next::Verdict(verdict),
        }
    }

    /// The machine after `answer`. A machine that has decided stays as it is.
    #[must_use]
    pub fn give(self, answer: Answer) -> Self {
        let Self { compare, state } = self;
        let state = match state {
            State::Simple(it) => then(it.give(answer, compare), State::Simple),
            State::TwoWalk(it) => then(it.give(answer, compare), State::TwoWalk),
            State::Ordered(it) => then(it.give(answer, compare), State::Ordered),
            State::References(it) => then(it.give(answer, compare), State::References),
            State::Ledger(it) => then(it.give(answer, compare), State::Ledger),
            State::Ended(_) => state,
        };
        Self { compare, state }
    }
}

fn then<S>(transition: Transition<S>, wrap: impl FnOnce(S) -> State) -> State {
    match transition {
        Transition::Then(state) => wrap(state),
        Transition::End(verdict) => State::Ended(verdict),
    }
}

#[inline(always)]
fn drive<S: Copy>(
    mut state: S,
    ask: impl Fn(S) -> Ask,
    give: impl Fn(S, Answer) -> Transition<S>,
    mut answer: impl FnMut(Ask) -> Answer,
) -> Verdict {
    loop {
        match give(state, answer(ask(state))) {
            Transition::Then(next) => state = next,
            Transition::End(verdict) => return verdict,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Doubt, Missing};

    #[test]
    fn every_machine_is_uncertain_when_its_first_question_goes_unanswered() {
        for estimator in Estimator::ALL {
            for missing in Missing::ALL {
                let machine = Machine::new(estimator).give(Answer::Unknown(missing));
                let expected = Next::Verdict(Verdict::Uncertain(Doubt::Unseen(missing)));
                assert_eq!(machine.next(), expected, "{}", estimator.name());
            }
        }
    }

    #[test]
    fn decided_machine_ignores_what_comes_later() {
        let decided = Machine::new(Estimator::Ledger).give(Answer::Number(1));
        assert_eq!(decided.next(), Next::Verdict(Verdict::Pinned));
        assert_eq!(decided.give(Answer::Number(0)), decided);
    }
}
