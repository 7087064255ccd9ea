//! Puts a kernel's tables between their markers in docs/cost.md; leaves out what is in them.

use std::fs;

use anyhow::Context as _;

use crate::{paths, say};

/// Replaces what the document says of this kernel. A kernel that it does not tell of is only printed.
pub(crate) fn write(series: &str, tables: &str) -> anyhow::Result<()> {
    let path = paths::root().join("docs/cost.md");
    let old =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    match replaced(&old, series, tables) {
        Some(new) => {
            fs::write(&path, new).with_context(|| format!("cannot write {}", path.display()))
        }
        None => {
            say::step(
                "cost",
                format_args!("docs/cost.md has no place for {series}: nothing was written"),
            );
            Ok(())
        }
    }
}

fn replaced(document: &str, series: &str, tables: &str) -> Option<String> {
    let (start, end) = (
        format!("<!-- cost {series} -->"),
        format!("<!-- /cost {series} -->"),
    );
    let (before, rest) = document.split_once(&start)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!(
        "{before}{start}\n{}\n{end}{after}",
        tables.trim_end()
    ))
}

#[cfg(test)]
mod tests {
    use super::{super::KERNELS, paths, replaced};

    const DOCUMENT: &str = "a\n<!-- cost 6.1 -->\nold\n<!-- /cost 6.1 -->\nb\n<!-- cost 6.12 -->\n<!-- /cost 6.12 -->\n";

    #[test]
    fn the_document_has_a_part_for_each_of_the_usual_kernels() {
        let document = std::fs::read_to_string(paths::root().join("docs/cost.md")).unwrap();
        for series in KERNELS {
            assert!(replaced(&document, series, "new").is_some(), "{series}");
        }
    }

    #[test]
    fn only_the_kernels_own_part_is_replaced() {
        assert_eq!(
            replaced(DOCUMENT, "6.1", "new\n").unwrap(),
            "a\n<!-- cost 6.1 -->\nnew\n<!-- /cost 6.1 -->\nb\n<!-- cost 6.12 -->\n<!-- /cost 6.12 -->\n"
        );
    }

    #[test]
    fn a_kernel_without_a_part_changes_nothing() {
        assert_eq!(replaced(DOCUMENT, "7.3", "new"), None);
    }
}
