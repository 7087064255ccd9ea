//! Before anything is attached: whether a function that takes references calls another one on this
//! kernel, which is then not to be counted again.
//!
//! Some kernels bring in pages that are not there yet by calling an exported function of the
//! family. Pages that are not there are put into a pipe, and the entries of that function counted.
//! Leaves out functions that only drivers call; on the kernels seen so far all nest, or none does.

use std::io::{self, Error};

use aya::Btf;
use hooks::{Exercise, Facts, Feeds, HOOKS};
use log::debug;

use super::memory::{anonymous_memory, splice};
use crate::kernel::attach::EntryCounter;

/// Others may call the function meanwhile, but not each time.
const TRIES: u32 = 3;

/// `None` where it cannot be found out.
pub(crate) fn calls_nest(facts: &Facts, btf: &Btf) -> Option<bool> {
    match observe(facts, btf) {
        Ok(nest) => {
            debug!("self-test: calls of the GUP family nest: {nest}");
            Some(nest)
        }
        Err(error) => {
            debug!("self-test: whether calls of the GUP family nest is not known: {error}");
            None
        }
    }
}

fn observe(facts: &Facts, btf: &Btf) -> io::Result<bool> {
    let counters = |exercise| -> io::Result<Vec<EntryCounter>> {
        functions(facts, exercise)
            .map(|it| EntryCounter::on(it, btf))
            .collect()
    };
    let (outer, nested) = (
        counters(Exercise::Splice)?,
        counters(Exercise::SpliceOfAbsentPages)?,
    );
    for _ in 0..TRIES {
        let before = (sum(&outer), sum(&nested));
        splice(&anonymous_memory()?)?;
        if sum(&outer) == before.0 {
            return Err(Error::other("this kernel has another way for a splice"));
        }
        if sum(&nested) == before.1 {
            return Ok(false);
        }
    }
    Ok(true)
}

fn sum(counters: &[EntryCounter]) -> u64 {
    counters.iter().map(EntryCounter::count).sum()
}

/// Functions of this kernel that take references and that an exercise goes through.
fn functions(facts: &Facts, exercise: Exercise) -> impl Iterator<Item = &'static str> {
    let takes = |feeds| [Feeds::References, Feeds::Pins].contains(&feeds);
    HOOKS
        .iter()
        .filter(move |it| takes(it.feeds) && it.test.includes(exercise))
        .flat_map(|it| it.candidates)
        .map(|it| it.symbol)
        .filter(|it| facts.functions.contains_key(*it))
}
