//! That the agent is not blind: every family of hooks has something attached on this kernel, or the
//! doctor said before that nothing can serve it.

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
        let is_attached =
            |symbol: &&str| now.sum_with("pinscope_hook_attached", &[("symbol", *symbol)]) > 0;
        // The doctor has said it before: what is planned and then not attached is a failure.
        let is_known = |symbol: &&str| bench.outlook.blind.contains_key(*symbol);
        ensure!(
            any_of.iter().any(is_attached) || any_of.iter().all(is_known),
            "no hook of the family {family} is attached; attached are {symbols:?}"
        );
    }
    Ok(())
}
