//! `pinscope verify`: loads every probe that this kernel can take, attaches
//! none, and prints as lines of JSON the facts that hooks and layout are chosen
//! from, then what the verifier made of each program.

use std::sync::atomic::AtomicBool;

use hooks::{Attach, Methods, Support, layout, plan};
use serde_json::json;

use super::failure::{Done, Failure};
use crate::{
    error::AgentError,
    kernel::{
        attach::{self, Sizes, Wanted},
        facts::{self, KernelBtf},
    },
    selftest::calls_nest,
    views::output,
};

/// Prints `{"facts": ..}`, and for each program `{"program": .., "instructions": n,
/// "load_ms": n}` or `{"program": .., "refused": ".."}`.
pub(super) fn verify() -> Done {
    load_all().map_err(Failure::Start)
}

fn load_all() -> Result<(), AgentError> {
    let types = KernelBtf::read()?;
    let mut facts = facts::gather(&types)?;
    facts::read_traceable(&mut facts.functions);
    output::print(&json!({ "facts": facts }))?;
    // A kernel may load programs that it would not attach: that is enough here.
    facts.methods = Methods {
        fentry: Support::Yes,
        kprobe: Support::Yes,
    };
    let mut steps = plan(&facts, Attach::Fentry);
    steps.extend(plan(&facts, Attach::Kprobe));
    let layout = layout(&facts)?;
    let sizes = Sizes {
        ring_bytes: 4096,
        ledger_slots: 1024,
        owners: 1024,
    };
    let btf = attach::outline(&types, &facts)?;
    let wanted = Wanted {
        facts: &facts,
        steps: &steps,
        layout: &layout,
        sizes,
        btf: &btf,
        nested: calls_nest(&facts, &btf),
        is_over: &AtomicBool::new(false),
    };
    attach::load_all(&wanted, |loaded| {
        output::print(&match loaded.verified {
            Ok(instructions) => json!({
                "program": loaded.name,
                "instructions": instructions,
                "load_ms": loaded.load_ms,
            }),
            Err(refused) => json!({ "program": loaded.name, "refused": refused }),
        })
    })
}
