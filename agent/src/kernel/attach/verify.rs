//! Loading every program and attaching none, to see what the verifier makes of each.

use std::collections::HashMap;

use hooks::Entries;

use super::{
    loading::{Loading, load_together, programs_for},
    object::{self, Wanted},
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
    wanted: &Wanted<'_>,
    mut report: impl FnMut(Loaded),
) -> Result<(), AgentError> {
    let mut ebpf = object::load(wanted)?.ebpf;
    let mut order = Vec::new();
    let mut symbols = HashMap::new();
    for (candidate, methods) in wanted.steps.iter().flat_map(|step| &step.usable) {
        for name in methods
            .iter()
            .flat_map(|method| programs_for(&ebpf, candidate, *method, Entries::Needed))
        {
            if symbols.insert(name.clone(), candidate.symbol).is_none() {
                order.push(name);
            }
        }
    }
    let mut loaded = load_together(&mut ebpf, wanted.btf, &symbols);
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
