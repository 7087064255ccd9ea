//! Loading every program and attaching none, to see what the verifier makes of each.

use std::collections::HashMap;

use hooks::{Entries, Facts, Step};
use probe_abi::Layout;

use super::{
    loading::{Loading, load_together, programs_for},
    object::{self, Sizes, kernel_btf},
};
use crate::error::{AgentError, chain};

/// What the verifier made of one program.
pub(crate) struct Loaded {
    pub(crate) name: String,
    /// Instructions it looked at (unknown before Linux 5.16), or why it refused.
    pub(crate) verified: Result<Option<u32>, String>,
    pub(crate) load_ms: u128,
}

/// Loads the programs that `steps` would attach, attaches none, and reports each.
pub(crate) fn load_all(
    facts: &Facts,
    steps: &[Step],
    layout: Layout,
    sizes: Sizes,
    mut report: impl FnMut(Loaded),
) -> Result<(), AgentError> {
    let mut ebpf = object::load(facts, steps, layout, sizes)?.ebpf;
    let btf = kernel_btf()?;
    let mut order = Vec::new();
    let mut wanted = HashMap::new();
    for (candidate, methods) in steps.iter().flat_map(|step| &step.usable) {
        for name in methods
            .iter()
            .flat_map(|method| programs_for(&ebpf, candidate, *method, Entries::Needed))
        {
            if wanted.insert(name.clone(), candidate.symbol).is_none() {
                order.push(name);
            }
        }
    }
    let mut loaded = load_together(&mut ebpf, &btf, &wanted);
    for name in order {
        let Some((program, Loading { result, took })) = loaded.remove(name.as_str()) else {
            continue;
        };
        let verified = result.map_err(|it| chain(&it)).map(|()| {
            let info = program.info().ok()?;
            info.verified_instruction_count()
        });
        report(Loaded {
            name,
            verified,
            load_ms: took.as_millis(),
        });
    }
    Ok(())
}
