//! Dashboards and rules use metrics, labels and label values that exist, and show
//! every metric there is.

use std::{collections::BTreeSet, fs};

use estimator::{Estimator, Outcome};
use probe_abi::Lost;
use serde_json::Value;

use crate::{metrics, path, read};

/// Endings that a histogram's series have in addition.
const SERIES: [&str; 3] = ["_bucket", "_sum", "_count"];

/// Each dashboard's strings and each rule file's text, by file name.
fn texts() -> Vec<(String, String)> {
    let mut texts = Vec::new();
    let folder = fs::read_dir(path("dashboards")).expect("there are dashboards");
    for entry in folder.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let text = read(&format!("dashboards/{name}"));
        if name.ends_with(".json") {
            let mut strings = Vec::new();
            let dashboard = serde_json::from_str(&text).expect("a dashboard is JSON");
            collect(&dashboard, &mut strings);
            texts.push((name, strings.join("\n")));
        } else {
            texts.push((name, text));
        }
    }
    assert!(texts.len() >= 3, "dashboards, rules and their tests");
    texts
}

fn collect(value: &Value, strings: &mut Vec<String>) {
    match value {
        Value::String(text) => strings.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|it| collect(it, strings)),
        Value::Object(fields) => fields.values().for_each(|it| collect(it, strings)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Words that begin with `prefix`.
fn words<'a>(text: &'a str, prefix: &str) -> BTreeSet<&'a str> {
    text.split(|it: char| !it.is_ascii_alphanumeric() && it != '_' && it != ':')
        .filter(|it| it.len() > prefix.len() && it.starts_with(prefix))
        .collect()
}

/// Values that are asked for with `label="value"`.
fn values<'a>(text: &'a str, label: &str) -> BTreeSet<&'a str> {
    let asked = format!("{label}=\"");
    text.match_indices(&asked)
        .filter(|(at, _)| {
            !text[..*at].ends_with(|it: char| it.is_ascii_alphanumeric() || it == '_')
        })
        .filter_map(|(at, _)| text[at + asked.len()..].split('"').next())
        .collect()
}

fn metric_of(series: &str, known: &BTreeSet<String>) -> Option<String> {
    let bases = SERIES.iter().filter_map(|it| series.strip_suffix(it));
    [series]
        .into_iter()
        .chain(bases)
        .find(|it| known.contains(*it))
        .map(str::to_owned)
}

#[test]
fn every_metric_that_is_used_exists() {
    let known: BTreeSet<String> = metrics::declared().into_iter().map(|it| it.name).collect();
    for (file, text) in texts() {
        for used in words(&text, "pinscope_") {
            assert!(metric_of(used, &known).is_some(), "{file} uses {used}");
        }
    }
}

#[test]
fn every_metric_that_exists_is_shown() {
    let known: BTreeSet<String> = metrics::declared().into_iter().map(|it| it.name).collect();
    let shown: BTreeSet<String> = texts()
        .iter()
        .filter(|(file, _)| file.ends_with(".json"))
        .flat_map(|(_, text)| words(text, "pinscope_"))
        .filter_map(|it| metric_of(it, &known))
        .collect();
    let hidden: Vec<_> = known.difference(&shown).collect();
    assert!(hidden.is_empty(), "no dashboard shows {hidden:?}");
}

#[test]
fn every_recorded_series_that_is_used_is_recorded() {
    let rules = read("dashboards/rules.yml");
    let recorded: BTreeSet<&str> = rules
        .lines()
        .filter_map(|it| it.trim().strip_prefix("- record: "))
        .collect();
    for (file, text) in texts() {
        for used in words(&text, "pinscope:") {
            assert!(recorded.contains(used), "{file} uses {used}");
        }
    }
}

#[test]
fn every_label_value_that_is_asked_for_exists() {
    for (file, text) in texts() {
        for cause in values(&text, "cause") {
            assert!(Lost::NAMES.contains(&cause), "{file}: cause {cause}");
        }
        for name in values(&text, "estimator") {
            let known = Estimator::ALL.iter().any(|it| it.name() == name);
            assert!(known, "{file}: estimator {name}");
        }
        for label in ["verdict", "kernel"] {
            for name in values(&text, label) {
                let known = Outcome::ALL.iter().any(|it| it.name() == name);
                assert!(known, "{file}: {label} {name}");
            }
        }
        for hook in values(&text, "hook") {
            assert!(hooks::hook(hook).is_some(), "{file}: hook {hook}");
        }
    }
}

#[test]
fn every_alert_has_a_test() {
    let (rules, tests) = (
        read("dashboards/rules.yml"),
        read("dashboards/rules.test.yml"),
    );
    let alerts: Vec<&str> = rules
        .lines()
        .filter_map(|it| it.trim().strip_prefix("- alert: "))
        .collect();
    assert!(!alerts.is_empty());
    for alert in alerts {
        let fires = tests.contains(&format!("alertname: {alert}\n        exp_alerts:"));
        assert!(fires, "no test in which {alert} fires");
    }
}
