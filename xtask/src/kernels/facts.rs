//! `hooks/facts`: what a kernel is like, as the agent found it in a guest; its plan is tested from
//! these files. Leaves out what is in them, which is the agent's.

use std::{fs, path::PathBuf};

use anyhow::Context as _;
use serde::Serialize as _;
use serde_json::Value;

use super::Flavour;
use crate::paths;

/// The facts of a series.
pub(crate) fn read(series: &str) -> anyhow::Result<Value> {
    let path = path(series);
    let text = fs::read_to_string(&path)
        .with_context(|| format!("there are no facts of {series} at {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()))
}

/// Whether a task may lose its CPU inside this kernel, as far as its facts are kept.
pub(crate) fn is_preemptible(series: &str) -> anyhow::Result<bool> {
    if !Flavour::of_kernel(series).has_facts() {
        return Ok(false);
    }
    Ok(read(series)?["preemptible"] == Value::Bool(true))
}

/// Keeps them. A file that differs in addresses only stays as it is: each boot has others.
pub(crate) fn write(series: &str, facts: &Value) -> anyhow::Result<()> {
    if read(series).is_ok_and(|old| without_addresses(&old) == without_addresses(facts)) {
        return Ok(());
    }
    let mut text = Vec::new();
    let style = serde_json::ser::PrettyFormatter::with_indent(b" ");
    facts.serialize(&mut serde_json::Serializer::with_formatter(
        &mut text, style,
    ))?;
    text.push(b'\n');
    let path = path(series);
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn without_addresses(facts: &Value) -> Value {
    let mut facts = facts.clone();
    let symbols = facts["symbols"].as_object_mut();
    for range in symbols.into_iter().flat_map(|it| it.values_mut()) {
        *range = Value::Null;
    }
    facts
}

fn path(series: &str) -> PathBuf {
    paths::root().join(format!("hooks/facts/{series}.json"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{is_preemptible, without_addresses};

    #[test]
    fn a_kernel_whose_facts_are_not_kept_is_no_obstacle() {
        assert!(!is_preemptible("6.12-generic").unwrap());
        assert!(!is_preemptible("6.12").unwrap());
        assert!(is_preemptible("7.3").unwrap());
    }

    #[test]
    fn addresses_are_no_difference_and_a_symbol_that_is_gone_is_one() {
        let at = |start: u64| json!({ "symbols": { "zap": { "start": start, "end": start + 1 } } });
        assert_eq!(without_addresses(&at(1)), without_addresses(&at(7)));
        let none = json!({ "symbols": {} });
        assert_ne!(without_addresses(&at(1)), without_addresses(&none));
    }
}
