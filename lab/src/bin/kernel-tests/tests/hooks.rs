//! That the agent is not blind: every family of hooks has something attached on this kernel.

use anyhow::{Result, ensure};

use crate::bench::Bench;

pub(super) fn every_family_of_hooks_is_attached(bench: &Bench) -> Result<()> {
    let agent = bench.shared_agent(&[])?;
    let now = agent.scrape()?;
    let symbols = now.label_values("pinscope_hook_attached", "symbol");
    for (family, any_of) in [
        ("pin", &["pin_user_pages_fast"][..]),
        ("remote pin", &["pin_user_pages_remote"]),
        ("reference", &["get_user_pages_fast"]),
        (
            "unpin",
            &["unpin_user_page", "unpin_user_pages", "unpin_user_folio"],
        ),
        ("mkclean", &["folio_mkclean", "page_mkclean"]),
        ("walk", &["page_vma_mapped_walk"]),
        (
            "zap",
            &["zap_pte_range", "unmap_page_range", "__zap_vma_range"],
        ),
    ] {
        ensure!(
            any_of.iter().any(|symbol| {
                let labels = [("symbol", *symbol)];
                now.sum_with("pinscope_hook_attached", &labels) > 0
            }),
            "no hook of the family {family} is attached; attached are {symbols:?}"
        );
    }
    Ok(())
}
