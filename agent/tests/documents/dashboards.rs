//! Dashboards, rules and pages use metrics, labels and values that exist. That a dashboard shows every
//! metric there is, is in `all_metrics`.

use std::{collections::BTreeSet, fs};

use serde_json::Value;

use crate::{
    names::{Metric, names},
    path,
    promql::{Selector, grouped, selectors},
    read,
};

/// Endings that a histogram's series have in addition.
const SERIES: [&str; 3] = ["_bucket", "_sum", "_count"];

/// What Prometheus adds to every series, and to those of a histogram.
const TARGET: [&str; 3] = ["job", "instance", "le"];

/// Pages that name metrics. CHANGELOG.md has those of the past too.
const PAGES: [&str; 9] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "docs/glossary.md",
    "docs/kernels.md",
    "docs/operating.md",
    "docs/limits.md",
    "docs/estimators.md",
    "packaging/pinscope.toml",
];

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

/// The metric that a series belongs to.
fn metric_of(series: &str) -> Option<&'static Metric> {
    let find = |name: &str| names().metrics.iter().find(|it| it.name == name);
    let bases = SERIES.iter().filter_map(|it| series.strip_suffix(it));
    let histogram = |name| find(name).filter(|it| it.kind == "histogram");
    find(series).or_else(|| bases.filter_map(histogram).next())
}

/// Every text in which metrics are named.
fn documents() -> Vec<(String, String)> {
    let mut texts = texts();
    for name in PAGES {
        texts.push((name.to_owned(), read(name)));
    }
    texts
}

/// What is wrong with a selector.
fn wrong(selector: &Selector) -> Option<String> {
    let Some(metric) = metric_of(&selector.metric) else {
        return Some(format!("there is no {}", selector.metric));
    };
    selector.matchers.iter().find_map(|(label, value)| {
        let known = metric.labels.iter().find(|it| it.name == *label);
        match known {
            None if TARGET.contains(&label.as_str()) => None,
            None => Some(format!("{} has no label {label}", metric.name)),
            Some(known) => {
                let values = known.values.as_ref()?;
                let told = format!("{} has no {label} {value}", metric.name);
                (!values.contains(value)).then_some(told)
            }
        }
    })
}

#[test]
fn every_metric_label_and_value_that_is_used_exists() {
    for (file, text) in documents() {
        for selector in selectors(&text, "pinscope_") {
            assert_eq!(wrong(&selector), None, "{file}");
        }
    }
}

#[test]
fn a_name_that_does_not_exist_is_found() {
    let told = |text: &str| wrong(&selectors(text, "pinscope_")[0]).is_some();
    assert!(told("pinscope_pinned_pages"));
    assert!(told("pinscope_pins_bucket"));
    assert!(told("pinscope_pins{cause=\"x\"}"));
    assert!(told("pinscope_lost_total{cause=\"x\"}"));
    assert!(told("pinscope_repaired_total{cause=\"ring_full\"}"));
    assert!(!told(
        "pinscope_lost_total{cause=~\"ring_full|truncated\", job=\"x\"}"
    ));
    assert!(!told("pinscope_hold_seconds_bucket{le=\"1\"}"));
}

#[test]
fn every_label_that_is_grouped_by_exists() {
    let labels: BTreeSet<&str> = names()
        .metrics
        .iter()
        .flat_map(|it| &it.labels)
        .map(|it| it.name.as_str())
        .chain(TARGET)
        .collect();
    for (file, text) in texts() {
        for label in grouped(&text) {
            assert!(labels.contains(label), "{file}: {label}");
        }
    }
}

#[test]
fn every_recorded_series_that_is_used_is_recorded() {
    let rules = read("dashboards/rules.yml");
    let recorded: BTreeSet<&str> = rules
        .lines()
        .filter_map(|it| it.trim().strip_prefix("- record: "))
        .collect();
    for (file, text) in texts() {
        for used in selectors(&text, "pinscope:") {
            let used = used.metric;
            assert!(recorded.contains(used.as_str()), "{file} uses {used}");
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
