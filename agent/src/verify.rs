//! `pinscope verify`: loads every probe that this kernel can take, attaches
//! none, and prints the verifier's instruction count of each as JSON, with the
//! facts that hooks and layout are chosen from.

use serde_json::{Map, json};

use crate::{
    attach::{self, Sizes},
    cli::Attach,
    error::AgentError,
    facts::{Facts, Methods, Support},
    kernel_layout, output, plan,
};

/// Prints `{"facts": .., "programs": {NAME: {"instructions": n} or {"refused": ".."}}}`.
pub(crate) fn verify() -> Result<(), AgentError> {
    let gathered = Facts::gather()?;
    let mut facts = gathered.clone();
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
    };
    let mut programs = Map::new();
    for loaded in attach::load_all(&facts, &steps, layout, sizes)? {
        let outcome = match loaded.verified {
            Ok(instructions) => json!({ "instructions": instructions, "load_ms": loaded.load_ms }),
            Err(refused) => json!({ "refused": refused }),
        };
        programs.insert(loaded.name, outcome);
    }
    output::print(&json!({ "facts": gathered, "programs": programs }));
    Ok(())
}
