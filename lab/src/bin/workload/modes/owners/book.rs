//! Who has pinned how much after each step, and which rings a process has: the book that an agent's rows
//! are held against. Pure.

use anyhow::{Context, Result, ensure};

use super::step::{Act, Step};

/// Every process that there was, and every ring.
#[derive(Clone, Debug, Default)]
pub(crate) struct Book {
    pub(crate) processes: Vec<Process>,
    rings: Vec<Ring>,
}

/// An owner. One that has ended keeps its pins in the book for as long as its rings are open.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub(crate) name: char,
    pub(crate) lives: bool,
    /// Its rings, in the order in which it came to them.
    rings: Vec<usize>,
}

#[derive(Clone, Debug)]
struct Ring {
    /// Who pinned the buffer in each of its places that is not empty.
    buffers: Vec<usize>,
}

/// What a step does to pins, in buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// So many are released, most often none.
    Releases(u64),
    /// One is pinned.
    Pins,
}

impl Book {
    /// The living process of this name.
    pub(crate) fn who(&self, name: char) -> Option<usize> {
        let is_it = |it: &Process| it.lives && it.name == name;
        self.processes.iter().position(is_it)
    }

    /// A process begins, with the rings that its parent has.
    pub(crate) fn begin(&mut self, name: char, parent: Option<usize>) -> Result<()> {
        ensure!(self.who(name).is_none(), "there is a living {name} already");
        let rings = parent.map_or_else(Vec::new, |it| self.processes[it].rings.clone());
        self.processes.push(Process {
            name,
            lives: true,
            rings,
        });
        Ok(())
    }

    /// How many buffers a process has pinned that are still pinned.
    pub(crate) fn pinned_by(&self, process: usize) -> u64 {
        let buffers = self.rings.iter().flat_map(|it| &it.buffers);
        buffers.filter(|it| **it == process).count() as u64
    }

    /// Books a step of processes that have begun.
    pub(crate) fn book(&mut self, step: Step) -> Result<Effect> {
        let who = self.living(step.owner)?;
        let nothing = || format!("{} has no such ring", step.owner);
        match step.act {
            Act::Pin | Act::PinAndClone | Act::PinByDmaBuf => {
                self.processes[who].rings.push(self.rings.len());
                self.rings.push(Ring { buffers: vec![who] });
                return Ok(Effect::Pins);
            }
            Act::PinAnother => {
                let ring = self.last_ring(who).with_context(nothing)?;
                ring.buffers.push(who);
                return Ok(Effect::Pins);
            }
            Act::Empty => {
                let ring = self.last_ring(who).with_context(nothing)?;
                ensure!(!ring.buffers.is_empty(), "the first place is empty");
                ring.buffers.remove(0);
                return Ok(Effect::Releases(1));
            }
            Act::Release => loop {
                let ring = self.processes[who].rings.pop().with_context(nothing)?;
                let released = self.empty(ring);
                if released > 0 {
                    return Ok(Effect::Releases(released));
                }
            },
            Act::ReleaseInFlight => {
                let ring = self.first_ring(who).with_context(nothing)?;
                return Ok(Effect::Releases(self.empty(ring)));
            }
            Act::Close => {
                let ring = self.processes[who].rings.pop().with_context(nothing)?;
                return Ok(Effect::Releases(self.close(ring)));
            }
            Act::Pass(to) => {
                let to = self.living(to)?;
                let ring = self.processes[who].rings.pop().with_context(nothing)?;
                self.processes[to].rings.push(ring);
            }
            Act::Fork => self.begin(step.owner.to_ascii_lowercase(), Some(who))?,
            Act::End => {
                self.processes[who].lives = false;
                let rings = std::mem::take(&mut self.processes[who].rings);
                return Ok(Effect::Releases(
                    rings.into_iter().map(|ring| self.close(ring)).sum(),
                ));
            }
        }
        Ok(Effect::Releases(0))
    }

    /// Takes it from a process.
    fn first_ring(&mut self, who: usize) -> Option<usize> {
        let rings = &mut self.processes[who].rings;
        (!rings.is_empty()).then(|| rings.remove(0))
    }

    fn living(&self, name: char) -> Result<usize> {
        self.who(name)
            .with_context(|| format!("there is no living {name}"))
    }

    /// One process no longer has the ring: without any that has it, its buffer is released.
    fn close(&mut self, ring: usize) -> u64 {
        if self.processes.iter().any(|it| it.rings.contains(&ring)) {
            return 0;
        }
        self.empty(ring)
    }

    /// How many buffers there were.
    fn empty(&mut self, ring: usize) -> u64 {
        std::mem::take(&mut self.rings[ring].buffers).len() as u64
    }

    fn last_ring(&mut self, who: usize) -> Option<&mut Ring> {
        let ring = self.processes[who].rings.last()?;
        self.rings.get_mut(*ring)
    }
}

#[cfg(test)]
mod tests {
    use super::{Book, Effect};

    /// Buffers that each process has pinned, after all steps.
    fn after(script: &str) -> Vec<(char, bool, u64)> {
        let (book, _) = played(script);
        let numbered = book.processes.iter().enumerate();
        numbered
            .map(|(number, it)| (it.name, it.lives, book.pinned_by(number)))
            .collect()
    }

    fn played(script: &str) -> (Book, Effect) {
        let mut book = Book::default();
        let mut last = Effect::Releases(0);
        for text in script.split(' ') {
            let step: super::Step = text.parse().unwrap();
            if book.who(step.owner).is_none() {
                book.begin(step.owner, None).unwrap();
            }
            last = book.book(step).unwrap();
        }
        (book, last)
    }

    #[test]
    fn each_has_what_it_pinned_and_has_not_released() {
        assert_eq!(after("A+ B+ A- A+ B-"), [('A', true, 1), ('B', true, 0)]);
        assert_eq!(after("A+ A+ A+ A-"), [('A', true, 2)]);
    }

    #[test]
    fn a_ring_that_is_passed_on_is_still_of_who_pinned() {
        assert_eq!(after("A+ B+ A>B"), [('A', true, 1), ('B', true, 1)]);
        // The last that B came to is that of A.
        assert_eq!(after("A+ B+ A>B B-"), [('A', true, 0), ('B', true, 1)]);
        assert_eq!(after("B+ A+ A>B A!"), [('B', true, 1), ('A', false, 1)]);
    }

    #[test]
    fn what_a_child_inherits_outlives_its_parent() {
        assert_eq!(after("A+ A& A!"), [('A', false, 1), ('a', true, 0)]);
        assert_eq!(played("A+ A& A!").1, Effect::Releases(0));
        assert_eq!(played("A+ A& A! a!").1, Effect::Releases(1));
        // Released by one of two that have the ring: the other finds nothing in it.
        assert_eq!(after("A+ A+ A& a- A-"), [('A', true, 0), ('a', true, 0)]);
    }

    #[test]
    fn what_a_request_kept_is_still_of_who_pinned_it() {
        assert_eq!(after("A+ A& a+ a~"), [('A', true, 0), ('a', true, 1)]);
    }

    #[test]
    fn a_ring_that_took_a_buffer_over_may_have_another_ones_beside_it() {
        assert_eq!(after("A= A& a^"), [('A', true, 1), ('a', true, 1)]);
        assert_eq!(after("A= A& a^ a0"), [('A', true, 0), ('a', true, 1)]);
        assert_eq!(played("A= A& a^ Ax").1, Effect::Releases(0));
        assert_eq!(played("A= A& a^ Ax ax").1, Effect::Releases(2));
    }

    #[test]
    fn closing_releases_what_nobody_else_has() {
        assert_eq!(played("A+ Ax").1, Effect::Releases(1));
        assert_eq!(played("A+ A& Ax").1, Effect::Releases(0));
        assert_eq!(played("A+ A+ A!").1, Effect::Releases(2));
    }

    #[test]
    fn a_name_may_come_again_and_is_another() {
        assert_eq!(
            after("A+ A& A! A+"),
            [('A', false, 1), ('a', true, 0), ('A', true, 1)]
        );
    }

    #[test]
    fn steps_that_cannot_be_are_refused() {
        for script in [
            "A-", "Ax", "A+ A- A-", "A+ A>B", "A& A&", "A+ a-", "A^", "A= A0 A0",
        ] {
            let mut book = Book::default();
            book.begin('A', None).unwrap();
            let mut steps = script.split(' ').map(|it| book.book(it.parse().unwrap()));
            assert!(steps.any(|it| it.is_err()), "{script}");
        }
    }
}
