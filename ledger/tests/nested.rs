//! Calls that two programs deal with, interrupted anywhere: at each step, by calls of their own
//! with the same two programs, as a kernel skips them.

use std::cell::{Cell, RefCell};

use ledger::nested::{self, Notes};

const PLACES: usize = 8;

/// Calls that a task makes, one after the other.
const CALLS: usize = 3;

/// One CPU. Where it is interrupted is a list of choices, tried out one by one.
struct Cpu {
    notes: [Cell<u64>; PLACES],
    height: Cell<u64>,
    at_work: [Cell<bool>; 2],
    /// 0 for a task, then the interrupts on top of it.
    level: Cell<u64>,
    deepest: u64,
    /// Interrupts that may still come.
    left: Cell<usize>,
    choices: RefCell<Vec<bool>>,
    chosen: Cell<usize>,
    missed: Cell<usize>,
    twice: Cell<usize>,
}

impl Cpu {
    fn new(deepest: u64, interrupts: usize, choices: Vec<bool>) -> Self {
        Self {
            notes: Default::default(),
            height: Cell::default(),
            at_work: Default::default(),
            level: Cell::default(),
            deepest,
            left: Cell::new(interrupts),
            choices: RefCell::new(choices),
            chosen: Cell::default(),
            missed: Cell::default(),
            twice: Cell::default(),
        }
    }

    /// Between two steps: perhaps an interrupt comes, and calls the function.
    fn step(&self) {
        if self.left.get() == 0 || self.level.get() == self.deepest {
            return;
        }
        let at = self.chosen.replace(self.chosen.get() + 1);
        let mut choices = self.choices.borrow_mut();
        if at == choices.len() {
            choices.push(false);
        }
        let comes = choices[at];
        drop(choices);
        if comes {
            self.left.set(self.left.get() - 1);
            self.level.set(self.level.get() + 1);
            self.call();
            self.level.set(self.level.get() - 1);
        }
    }

    /// A call of the function. One level always calls at the same place of its stack, as bad as
    /// it can be.
    fn call(&self) {
        let call = 100 + self.level.get();
        let mut dealt_with = 0;
        self.step();
        let first = self.run(0, || {
            nested::push(self, call);
            dealt_with += 1;
        });
        self.step();
        let second = self.run(1, || {
            if !nested::pop(self, call) && !nested::was_dealt_with(self, call) {
                dealt_with += 1;
            }
        });
        self.step();
        match dealt_with {
            // Neither ran: the kernel counts that.
            0 if first || second => self.missed.set(self.missed.get() + 1),
            2 => self.twice.set(self.twice.get() + 1),
            _ => {}
        }
    }

    /// Runs a program, unless it is at work.
    fn run(&self, program: usize, does: impl FnOnce()) -> bool {
        if self.at_work[program].replace(true) {
            return false;
        }
        self.step();
        does();
        self.step();
        self.at_work[program].set(false);
        true
    }
}

impl Notes for &Cpu {
    fn note(self, place: u64) -> u64 {
        self.step();
        self.notes[place as usize % PLACES].get()
    }

    fn set_note(self, place: u64, call: u64) {
        self.step();
        self.notes[place as usize % PLACES].set(call);
    }

    fn height(self) -> u64 {
        self.step();
        self.height.get()
    }

    fn set_height(self, height: u64) {
        self.step();
        self.height.set(height);
    }

    fn is_a_tasks(self) -> bool {
        self.level.get() == 0
    }

    fn opaque(self, number: u64) -> u64 {
        number
    }
}

/// What went wrong at worst, over all places at which so many interrupts can come.
#[derive(Debug, Default, PartialEq, Eq)]
struct Worst {
    missed: usize,
    twice: usize,
    runs: usize,
}

fn worst(deepest: u64, interrupts: usize) -> Worst {
    let mut worst = Worst::default();
    let mut choices = Vec::new();
    loop {
        let cpu = Cpu::new(deepest, interrupts, choices);
        for _ in 0..CALLS {
            cpu.call();
        }
        worst.runs += 1;
        worst.missed = worst.missed.max(cpu.missed.get());
        worst.twice = worst.twice.max(cpu.twice.get());
        choices = cpu.choices.take();
        // The next list: the last choice that was not to, is to.
        while choices.pop_if(|it| *it).is_some() {}
        match choices.last_mut() {
            Some(last) => *last = true,
            None => return worst,
        }
    }
}

/// A task, and on top of it the two kinds of interrupts and an NMI.
const DEEPEST: u64 = 3;

#[test]
fn whatever_one_interrupt_does_each_call_is_dealt_with_once() {
    let worst = worst(DEEPEST, 1);
    assert!(worst.runs > CALLS * 10, "{worst:?}");
    assert_eq!((worst.missed, worst.twice), (0, 0), "{worst:?}");
}

#[test]
fn no_call_is_dealt_with_twice_and_of_three_interrupts_one_is_missed_at_most() {
    for deepest in 1..=DEEPEST {
        let worst = worst(deepest, 3);
        assert!(worst.runs > 10_000, "{worst:?}");
        assert_eq!((worst.missed, worst.twice), (1, 0), "{worst:?}");
    }
}

#[test]
fn an_empty_stack_has_no_note_whatever_was_there_before() {
    let cpu = Cpu::new(0, 0, Vec::new());
    cpu.notes[PLACES - 1].set(7);
    assert!(!nested::pop(&cpu, 7));
}

#[test]
fn a_note_is_found_below_three_that_were_left_there() {
    let cpu = Cpu::new(1, 0, Vec::new());
    cpu.level.set(1);
    for call in [7, 1, 2, 3] {
        nested::push(&cpu, call);
    }
    assert!(!nested::pop(&cpu, 7));
    assert!(nested::was_dealt_with(&cpu, 7));
    assert_eq!(cpu.height.get(), 0);
}

#[test]
fn a_call_of_a_task_was_dealt_with_even_if_its_note_is_gone() {
    let cpu = Cpu::new(0, 0, Vec::new());
    assert!(nested::was_dealt_with(&cpu, 7));
    cpu.level.set(1);
    assert!(!nested::was_dealt_with(&cpu, 7));
}

#[test]
fn what_is_left_on_the_stack_goes_with_the_next_call_of_a_task() {
    let cpu = Cpu::new(0, 0, Vec::new());
    cpu.notes[0].set(7);
    cpu.height.set(1);
    cpu.call();
    assert_eq!(cpu.height.get(), 0);
}
