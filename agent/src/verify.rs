//! `pinscope verify`: loads every probe that this kernel can take, attaches
//! none, and prints as lines of JSON the facts that hooks and layout are chosen
//! from, then what the verifier made of each program.

use serde_json::json;

use crate::{
    attach::{self, Sizes},
    cli::Attach,
    error::AgentError,
    facts::{Facts, Methods, Support},
    kernel_layout, output, plan,
};

/// Prints `{"facts": ..}`, and for each program `{"program": .., "instructions": n,
/// "load_ms": n}` or `{"program": .., "refused": ".."}`.
pub(crate) fn verify() -> Result<(), AgentError> {
    let mut facts = Facts::gather()?;
    output::print(&json!({ "facts": facts }));
    // A kernel may load programs that it would not attach: that is enough here.
    facts.methods = Methods {
        fentry: Support::Yes,
        kprobe: Support::Yes,
    };
    let mut steps = plan::plan(&facts, Attach::Fentry);
    steps.extend(plan::plan(&facts, Attach::Kprobe));
    let layout = kernel_layout::layout(&facts)?;
    let sizes = Sizes {
        ring_bytes: 4096,
        ledger_slots: 1024,
        owners: 1024,
    };
    attach::load_all(&facts, &steps, layout, sizes, |loaded| {
        output::print(&match loaded.verified {
            Ok(instructions) => json!({
                "program": loaded.name,
                "instructions": instructions,
                "load_ms": loaded.load_ms,
            }),
            Err(refused) => json!({ "program": loaded.name, "refused": refused }),
        });
    })
}
