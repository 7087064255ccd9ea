//! Pins held for exactly as long as this value lives, on any kernel: `process_vm_*` calls
//! whose copy is stopped at a fault gate. It does not say what is done meanwhile.

use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};

use super::cross_memory::{Access, PAGES_AT_ONCE, pin_and_copy};
use super::fault_gate::FaultGate;
use super::mapping::{Mapping, Span};
use lab::page::page_bytes;
use lab::pin_counters::PinCounters;

/// How long the threads may take to pin and arrive; a slow emulated guest needs a second.
const PATIENCE: Duration = Duration::from_secs(60);

/// Pins on a range of this process's memory.
#[derive(Debug)]
pub(crate) struct HeldPins {
    gate: Option<FaultGate>,
    threads: Vec<JoinHandle<Result<()>>>,
    /// What the threads copy from or to; must be there until the last has ended.
    _near: Mapping,
    pages: u64,
    calls: u64,
}

impl HeldPins {
    /// Pins every page of `far` once, and checks that the kernel counted as many.
    pub(crate) fn take(access: Access, far: Span) -> Result<Self> {
        let before = PinCounters::read()?;
        let pieces = pieces(far);
        let (gate, near) = FaultGate::new(pieces.len())?;
        let places: Vec<usize> = (0..pieces.len()).map(|number| gate.place(number)).collect();
        // Owns the gate before the first thread starts: dropped on any failure below, it
        // opens the gate and only then waits for the threads.
        let mut held = Self {
            gate: Some(gate),
            threads: Vec::new(),
            _near: near,
            pages: far.pages() as u64,
            calls: pieces.len() as u64,
        };
        for (piece, place) in pieces.iter().copied().zip(places) {
            let thread = std::thread::Builder::new()
                .name("pin-holder".to_owned())
                .spawn(move || pin_and_copy(access, place, piece))?;
            held.threads.push(thread);
        }
        held.wait_until_held(pieces.len())?;
        let grown = PinCounters::read()? - before;
        ensure!(
            grown.acquired >= held.pages,
            "{} pages were to be pinned, and nr_foll_pin_acquired grew by {}",
            held.pages,
            grown.acquired
        );
        Ok(held)
    }

    fn wait_until_held(&self, pieces: usize) -> Result<()> {
        let gate = self
            .gate
            .as_ref()
            .context("the pins were released already")?;
        gate.wait_for(pieces, PATIENCE)
            .context("the pins cannot be held")
    }

    /// How many pins are held.
    pub(crate) fn pages(&self) -> u64 {
        self.pages
    }

    /// How many system calls hold them.
    pub(crate) fn calls(&self) -> u64 {
        self.calls
    }

    /// Lets go; all pins are released when this returns. Says how many they were.
    pub(crate) fn release(mut self) -> Result<u64> {
        self.let_go()?;
        Ok(self.pages)
    }

    fn let_go(&mut self) -> Result<()> {
        self.gate = None;
        let mut first_failure = Ok(());
        for thread in self.threads.drain(..) {
            let ended = thread
                .join()
                .map_err(|_panic| anyhow!("a pin holder panicked"));
            first_failure = first_failure.and(ended.flatten());
        }
        first_failure
    }
}

impl Drop for HeldPins {
    fn drop(&mut self) {
        // `release` reports failures; here another error is on its way already.
        let _ignored = self.let_go();
    }
}

fn pieces(far: Span) -> Vec<Span> {
    let step = PAGES_AT_ONCE * page_bytes();
    (0..far.length)
        .step_by(step)
        .map(|at| Span {
            address: far.address + at,
            length: step.min(far.length - at),
        })
        .collect()
}
