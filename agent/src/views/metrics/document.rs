//! The metrics as documents have them: docs/metrics.md, and the same as data.

use std::fmt::Write as _;

use serde::Serialize;

use super::{
    family::Metric,
    tables::{TABLES, all},
};

const HEAD: &str = "\
# Metrics

<!-- Made from agent/src/views/metrics; `PINSCOPE_WRITE_DOCS=1 cargo test -p pinscope --test documents` writes it. -->

Every metric of `/metrics`, with its labels and their values. [glossary.md](glossary.md) explains the words.

Counters begin at zero when the agent starts, except the kernel's own, which begin when the host boots. Where an input of a
metric is not seen, because a hook is blind, the metric is absent and not zero. A pin is counted once for each page. Memory is
counted once for each folio, and all of it, however many of its pages are pinned.
";

/// One metric.
#[derive(Debug, Serialize)]
pub(crate) struct Described {
    name: String,
    kind: &'static str,
    help: &'static str,
    labels: Vec<Labelled>,
}

/// A label, and its values unless the host decides which there are.
#[derive(Debug, Serialize)]
struct Labelled {
    name: &'static str,
    values: Option<Vec<&'static str>>,
}

/// All of them.
pub(crate) fn described() -> Vec<Described> {
    all().map(describe).collect()
}

fn describe(metric: &Metric) -> Described {
    let labels = metric.labels.iter();
    Described {
        name: metric.full_name(),
        kind: metric.kind(),
        help: metric.help,
        labels: labels
            .map(|it| Labelled {
                name: it.name,
                values: it.values(),
            })
            .collect(),
    }
}

/// docs/metrics.md.
pub(crate) fn page() -> String {
    let mut page = HEAD.to_owned();
    for (title, metrics) in TABLES {
        let _never_fails = write!(
            page,
            "\n## {title}\n\n| metric | kind | labels | meaning |\n| --- | --- | --- | --- |\n"
        );
        for metric in metrics {
            page += &row(metric);
        }
    }
    page + &values()
}

fn row(metric: &Metric) -> String {
    let labels: Vec<String> = metric.labels.iter().map(|it| code(it.name)).collect();
    format!(
        "| {} | {} | {} | {} |\n",
        code(&metric.full_name()),
        metric.kind(),
        labels.join(", "),
        cell(metric.help)
    )
}

/// A label of a name with the same values, wherever it is.
struct Same {
    name: &'static str,
    values: Option<Vec<&'static str>>,
    metrics: Vec<String>,
}

/// Of every label what it can be, and where.
fn values() -> String {
    let mut page =
        "\n## Values of labels\n\n| label | of | values |\n| --- | --- | --- |\n".to_owned();
    let mut rows: Vec<Same> = Vec::new();
    for metric in all() {
        for label in metric.labels {
            let (name, values) = (label.name, label.values());
            let metric = code(&metric.full_name());
            let mut known = rows.iter_mut();
            match known.find(|it| it.name == name && it.values == values) {
                Some(row) => row.metrics.push(metric),
                None => rows.push(Same {
                    name,
                    values,
                    metrics: vec![metric],
                }),
            }
        }
    }
    for Same {
        name,
        values,
        metrics,
    } in rows
    {
        let values = match values {
            None => "whatever the host has".to_owned(),
            Some(values) => {
                let named = values.iter().filter(|it| !it.is_empty());
                named.map(|it| code(it)).collect::<Vec<_>>().join(", ")
            }
        };
        let metrics = metrics.join(", ");
        let _never_fails = writeln!(page, "| {} | {metrics} | {values} |", code(name));
    }
    page
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

/// An asterisk would begin emphasis, a bar another cell.
fn cell(text: &str) -> String {
    text.replace('*', "\\*").replace('|', "\\|")
}
