//! The metrics as `agent/src/views/metrics.rs` and its modules declare them: kind, name, help, labels.
//! Leaves out their values.

use std::{collections::BTreeSet, fs};

use crate::{path, read};

/// One metric.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Metric {
    /// counter, gauge or histogram.
    pub(crate) kind: String,
    /// With the prefix.
    pub(crate) name: String,
    pub(crate) help: String,
    pub(crate) labels: Vec<String>,
}

/// All of them, in the order of the file.
pub(crate) fn declared() -> Vec<Metric> {
    let mut source = read("agent/src/views/metrics.rs");
    let folder = fs::read_dir(path("agent/src/views/metrics")).expect("metrics have modules");
    let files = folder
        .flatten()
        .map(|it| it.file_name().to_string_lossy().into_owned());
    for name in files.collect::<BTreeSet<_>>() {
        source += &read(&format!("agent/src/views/metrics/{name}"));
    }
    let found = declarations(&source);
    assert!(found.len() > 20, "only {} metrics were found", found.len());
    found
}

/// Every call such as `counter(it, "name", "help", &["label"])`.
fn declarations(source: &str) -> Vec<Metric> {
    let mut found = Vec::new();
    let mut rest = source;
    while let Some(at) = rest.find('(') {
        let function: String = rest[..at]
            .chars()
            .rev()
            .take_while(|it| it.is_ascii_alphanumeric() || *it == '_')
            .collect();
        let function: String = function.chars().rev().collect();
        rest = &rest[at + 1..];
        found.extend(declaration(&function, rest));
    }
    found
}

fn declaration(function: &str, arguments: &str) -> Option<Metric> {
    let rest = arguments.trim_start().strip_prefix("it,")?;
    let (name, rest) = string(rest)?;
    let (help, rest) = string(rest.trim_start().strip_prefix(',')?)?;
    let rest = rest.trim_start().trim_start_matches(',').trim_start();
    let labels = match rest.strip_prefix("&[") {
        Some(rest) => rest
            .split_once(']')?
            .0
            .split(',')
            .map(|it| it.trim().trim_matches('"').to_owned())
            .filter(|it| !it.is_empty())
            .collect(),
        None => Vec::new(),
    };
    Some(Metric {
        kind: function.trim_end_matches('s').to_owned(),
        name: format!("pinscope_{name}"),
        help,
        labels,
    })
}

/// A string literal, its line continuations joined, and what follows it.
fn string(text: &str) -> Option<(String, &str)> {
    let text = text.trim_start().strip_prefix('"')?;
    let (literal, rest) = text.split_once('"')?;
    let mut lines = literal.split("\\\n");
    let mut whole = lines.next()?.to_owned();
    for line in lines {
        whole.push_str(line.trim_start());
    }
    Some((whole, rest))
}

#[test]
fn a_declaration_is_read_over_several_lines() {
    let source = "counter(it, \"a_total\", \"An a.\")?, gauges(\n  it,\n  \"b\",\n  \"A long \\\n   \
                  help.\",\n &[\"x\", \"y\"],\n)?";
    let metric = |kind: &str, name: &str, help: &str, labels: &[&str]| Metric {
        kind: kind.to_owned(),
        name: name.to_owned(),
        help: help.to_owned(),
        labels: labels.iter().map(|it| (*it).to_owned()).collect(),
    };
    assert_eq!(
        declarations(source),
        [
            metric("counter", "pinscope_a_total", "An a.", &[]),
            metric("gauge", "pinscope_b", "A long help.", &["x", "y"]),
        ]
    );
}
