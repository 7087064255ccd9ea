//! Loads the census: its walk, and what names the files that it finds.

use std::sync::atomic::AtomicBool;

use aya::{Btf, Ebpf};
use hooks::Facts;
use probe_abi::Layout;

use super::{
    answering,
    object::{self, Sizes, Wanted, array},
};
use crate::{
    error::{AgentError, chain},
    kernel::{census::Walker, inspect::Inspector},
};

/// Its name in the object.
pub(super) const PROGRAM: &str = "census";

/// The rest of the object as small as can be: nothing of it is used.
const SIZES: Sizes = Sizes {
    ring_bytes: 4096,
    ledger_slots: 1024,
    owners: 1024,
};

/// Attaches nothing.
pub(crate) fn walker(
    facts: &Facts,
    layout: &Layout,
    btf: &Btf,
) -> Result<(Walker, Inspector), AgentError> {
    let mut ebpf = object::load(&Wanted {
        facts,
        steps: &[],
        layout,
        sizes: SIZES,
        btf,
        nested: Some(false),
        is_over: &AtomicBool::new(false),
    })?
    .ebpf;
    let walker = load(&mut ebpf, facts)?;
    Ok((walker, answering::names(&mut ebpf)))
}

/// The walk alone, of an object that is loaded for other ends as well.
pub(super) fn load(ebpf: &mut Ebpf, facts: &Facts) -> Result<Walker, AgentError> {
    let program = answering::load_to_run(ebpf, PROGRAM).map_err(|it| AgentError::Map {
        name: "CENSUS",
        reason: chain(&it),
    })?;
    let maps = [array(ebpf, "CENSUS")?, array(ebpf, "CENSUS_FOUND")?];
    Walker::new(program, maps, facts)
}
