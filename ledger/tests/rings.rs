//! Two processes whose rings pin one folio: more rings than it has slots, rings that end and whose
//! address is used again, rings that a child has inherited, and direct I/O beside them. What each
//! process has is right at every moment.

mod common;

use std::sync::atomic::AtomicU64;

use common::Book as Any;
use ledger::{Fit, Releaser};
use probe_abi::{Lost, NOBODY};
use proptest::prelude::*;

const FILE: u64 = 0x1000;

/// Addresses that rings can have.
const ADDRESSES: usize = 12;

/// Two, by number.
const PROCESSES: usize = 2;

#[derive(Clone, Copy, Debug)]
enum Act {
    /// A process pins by the ring at an address, its own or, if there is none, a new one.
    Register { process: usize, ring: usize, n: u64 },
    /// What the ring at an address has is released, in part: by whom does not matter.
    Unregister { ring: usize, n: u64 },
    /// A worker of the kernel takes the ring down, and the address is free.
    Close { ring: usize },
    /// Direct I/O of a process begins.
    Submit { process: usize, n: u64 },
    /// It is completed: by the process, or in an interrupt.
    Complete {
        process: usize,
        n: u64,
        in_interrupt: bool,
    },
    /// A request in flight kept what was unregistered: whoever ends it releases that.
    EndRequest { ring: usize, by: usize, n: u64 },
    /// The ring at another address, into which it was cloned, releases it.
    UnregisterClone { ring: usize, clone: usize, n: u64 },
}

/// Who does direct I/O.
#[derive(Clone, Copy)]
enum Direct {
    Both,
    First,
    Nobody,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    prop::collection::vec(act(), 1..120)
}

/// With some whose owner cannot be known.
fn acts_in_doubt() -> impl Strategy<Value = Vec<Act>> {
    let ring = || 0..ADDRESSES;
    let n = || 1..4_u64;
    let act = prop_oneof![
        8 => act(),
        1 => (ring(), 0..PROCESSES, n()).prop_map(|(ring, by, n)| Act::EndRequest { ring, by, n }),
        1 => (ring(), ring(), n())
            .prop_map(|(ring, clone, n)| Act::UnregisterClone { ring, clone, n }),
    ];
    prop::collection::vec(act, 1..120)
}

fn act() -> impl Strategy<Value = Act> {
    let process = || 0..PROCESSES;
    let ring = || 0..ADDRESSES;
    let n = || 1..4_u64;
    prop_oneof![
        4 => (process(), ring(), n()).prop_map(|(process, ring, n)| Act::Register { process, ring, n }),
        2 => (ring(), n()).prop_map(|(ring, n)| Act::Unregister { ring, n }),
        1 => ring().prop_map(|ring| Act::Close { ring }),
        1 => (process(), n()).prop_map(|(process, n)| Act::Submit { process, n }),
        1 => (process(), n(), any::<bool>())
            .prop_map(|(process, n, in_interrupt)| Act::Complete { process, n, in_interrupt }),
    ]
}

/// The folio's one bucket has `S` slots.
struct World<const S: usize> {
    book: Any<AtomicU64, S>,
    /// Whose the ring at an address is, and what it has.
    rings: [Option<(usize, u64)>; ADDRESSES],
    /// What a process's direct I/O has.
    direct: [u64; PROCESSES],
    done: Direct,
    /// Of each who releases, see [`Releaser::doubt`].
    doubt: u64,
}

fn tgid(process: usize) -> u64 {
    100 + process as u64
}

fn mm(process: usize) -> u64 {
    0x1000 * (1 + process as u64)
}

fn address(ring: usize) -> u64 {
    0x10_0000 * (1 + ring as u64)
}

/// The owner of what a process pins by the ring at an address, or without one.
fn owner(process: usize, ring: Option<usize>) -> u32 {
    let at = process * (ADDRESSES + 1) + ring.map_or(ADDRESSES, |it| it);
    1 + at as u32
}

impl<const S: usize> World<S> {
    /// Each process pins something first that it keeps: so it has a slot in its name.
    fn new(done: Direct) -> Self {
        let mut owners = vec![Releaser::default(); 1 + PROCESSES * (ADDRESSES + 1)];
        for process in 0..PROCESSES {
            let who = |object| Releaser {
                tgid: tgid(process),
                mm: mm(process),
                object,
                doubt: 0,
            };
            owners[owner(process, None) as usize] = who(0);
            for ring in 0..ADDRESSES {
                owners[owner(process, Some(ring)) as usize] = who(address(ring));
            }
        }
        let mut world = Self {
            book: Any::new(1, &owners),
            rings: [None; ADDRESSES],
            direct: [0; PROCESSES],
            done,
            doubt: 0,
        };
        for process in 0..PROCESSES {
            world.run(Act::Register {
                process,
                ring: process,
                n: 1,
            });
        }
        world
    }

    fn run(&mut self, act: Act) {
        match act {
            Act::Register { process, ring, n } => {
                let (of, held) = self.rings[ring].get_or_insert((process, 0));
                *held += n;
                self.book
                    .acquire(self.book.pins_of(0, owner(*of, Some(ring)), n, FILE));
            }
            Act::Unregister { ring, n } => {
                if let Some((of, n)) = self.unregistered(ring, n) {
                    self.release_of_ring(of, ring, n);
                }
            }
            Act::EndRequest { ring, by, n } => {
                if let Some((_, n)) = self.unregistered(ring, n) {
                    self.release(
                        n,
                        Releaser {
                            tgid: tgid(by),
                            mm: mm(by),
                            object: 0,
                            doubt: self.doubt,
                        },
                    );
                }
            }
            Act::UnregisterClone { ring, clone, n } => {
                if let Some((of, _)) = self.rings[clone]
                    && let Some((_, n)) = self.unregistered(ring, n)
                {
                    self.release_of_ring(of, clone, n);
                }
            }
            Act::Close { ring } => {
                if ring >= PROCESSES
                    && let Some((of, held)) = self.rings[ring].take()
                {
                    self.release_of_ring(of, ring, held);
                }
            }
            Act::Submit { process, n } => {
                let Some(process) = self.who_does_direct_io(process) else {
                    return;
                };
                self.direct[process] += n;
                self.book
                    .acquire(self.book.pins_of(0, owner(process, None), n, FILE));
            }
            Act::Complete {
                process,
                n,
                in_interrupt,
            } => {
                let Some(process) = self.who_does_direct_io(process) else {
                    return;
                };
                let n = n.min(self.direct[process]);
                self.direct[process] -= n;
                // Of two that do direct I/O an interrupt does not tell whose it is.
                let is_known = !in_interrupt || matches!(self.done, Direct::Both);
                self.release(
                    n,
                    Releaser {
                        tgid: if is_known { tgid(process) } else { 0 },
                        mm: if is_known { mm(process) } else { 0 },
                        object: 0,
                        doubt: self.doubt,
                    },
                );
            }
        }
    }

    /// A ring has so much less; whose ring it is, and how much that is.
    fn unregistered(&mut self, ring: usize, n: u64) -> Option<(usize, u64)> {
        let (of, held) = self.rings[ring].as_mut()?;
        let kept = u64::from(ring < PROCESSES);
        let n = n.min(*held - kept);
        *held -= n;
        Some((*of, n))
    }

    fn who_does_direct_io(&self, process: usize) -> Option<usize> {
        match self.done {
            Direct::Both => Some(process),
            Direct::First => Some(0),
            Direct::Nobody => None,
        }
    }

    fn release_of_ring(&self, of: usize, ring: usize, n: u64) {
        self.release(
            n,
            Releaser {
                tgid: 0,
                mm: mm(of),
                object: address(ring),
                doubt: self.doubt,
            },
        );
    }

    fn release(&self, n: u64, releaser: Releaser) {
        if n > 0 {
            let unknown = self
                .book
                .release(self.book.pins_of(0, NOBODY, n, FILE), releaser);
            assert_eq!(unknown, 0);
        }
    }

    /// What a process has, by the book and in truth.
    fn told_and_true(&self, process: usize) -> (u64, u64) {
        let by_rings = self.rings.iter().flatten();
        let by_rings: u64 = by_rings.filter(|it| it.0 == process).map(|it| it.1).sum();
        let owners = owner(process, Some(0))..=owner(process, None);
        let held = self.book.held(0, 0).into_iter();
        let held = held.filter(|it| owners.contains(&it.0)).map(|it| it.1);
        (held.sum(), by_rings + self.direct[process])
    }

    fn check(&self, after: &[Act]) {
        for process in 0..PROCESSES {
            let (told, true_) = self.told_and_true(process);
            assert_eq!(told, true_, "process {process} after {after:?}");
        }
        assert_eq!(self.book.lost(Lost::OWNERS_FULL), 0, "{after:?}");
        if matches!(self.done, Direct::Nobody) {
            assert!(!self.book.is_a_guess(0), "{after:?}");
        }
    }
}

fn run<const S: usize>(done: Direct, acts: &[Act]) {
    let mut world = World::<S>::new(done);
    for (at, act) in acts.iter().enumerate() {
        world.run(*act);
        world.check(&acts[..=at]);
    }
}

/// Where it cannot be known whose references are released, that is told.
fn run_in_doubt<const S: usize>(done: Direct, acts: &[Act]) {
    let mut world = World::<S>::new(done);
    world.doubt = Fit::OF_OBJECTS;
    for (at, act) in acts.iter().enumerate() {
        world.run(*act);
        let is_right = (0..PROCESSES).all(|it| {
            let (told, true_) = world.told_and_true(it);
            told == true_
        });
        let after = &acts[..=at];
        assert!(is_right || world.book.is_a_guess(0), "{after:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_a_request_or_a_clone_kept_is_released_rightly_or_told_as_a_guess(
        acts in acts_in_doubt()
    ) {
        run_in_doubt::<8>(Direct::Both, &acts);
        run_in_doubt::<8>(Direct::Nobody, &acts);
        run_in_doubt::<4>(Direct::Both, &acts);
    }

    #[test]
    fn each_process_has_what_it_pinned_whoever_releases_it(acts in acts()) {
        run::<8>(Direct::Both, &acts);
        run::<4>(Direct::Both, &acts);
    }

    #[test]
    fn between_rings_of_a_process_there_is_nothing_to_guess(acts in acts()) {
        run::<8>(Direct::Nobody, &acts);
        run::<4>(Direct::Nobody, &acts);
    }

    #[test]
    fn an_interrupt_completes_the_direct_io_of_the_only_one_who_does_some(acts in acts()) {
        run::<8>(Direct::First, &acts);
        run::<4>(Direct::First, &acts);
    }
}
