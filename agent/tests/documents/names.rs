//! The names that are a contract, as the agent prints them itself.

use std::{process::Command, sync::OnceLock};

use serde_json::Value;

/// Every name, in the agent's own words.
pub(crate) struct Names {
    pub(crate) metrics: Vec<Metric>,
    pub(crate) losses: Vec<String>,
    pub(crate) doubts: Vec<String>,
    pub(crate) capabilities: Vec<String>,
    pub(crate) commands: Vec<Verb>,
}

/// A metric.
pub(crate) struct Metric {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) help: String,
    pub(crate) labels: Vec<Label>,
}

/// A label; without values where the host decides which there are.
pub(crate) struct Label {
    pub(crate) name: String,
    pub(crate) values: Option<Vec<String>>,
}

/// A verb of the command line.
pub(crate) struct Verb {
    pub(crate) name: String,
    pub(crate) help: String,
    pub(crate) options: Vec<String>,
}

/// Asked of the agent once.
pub(crate) fn names() -> &'static Names {
    static NAMES: OnceLock<Names> = OnceLock::new();
    NAMES.get_or_init(|| {
        let all: Value = serde_json::from_str(&printed("all")).expect("it prints JSON");
        let names = Names {
            metrics: list(&all["metrics"], metric),
            losses: list(&all["losses"], text),
            doubts: list(&all["doubts"], text),
            capabilities: list(&all["capabilities"], text),
            commands: list(&all["commands"], verb),
        };
        assert!(names.metrics.len() > 20 && names.commands.len() > 5);
        names
    })
}

/// What `pinscope documents PART` prints.
pub(crate) fn printed(part: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_pinscope"))
        .args(["documents", part])
        .output()
        .expect("the agent starts");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("it prints text")
}

fn list<T>(value: &Value, item: fn(&Value) -> T) -> Vec<T> {
    let items = value.as_array().expect("a list");
    items.iter().map(item).collect()
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

fn metric(value: &Value) -> Metric {
    Metric {
        name: text(&value["name"]),
        kind: text(&value["kind"]),
        help: text(&value["help"]),
        labels: list(&value["labels"], |it| Label {
            name: text(&it["name"]),
            values: (!it["values"].is_null()).then(|| list(&it["values"], text)),
        }),
    }
}

fn verb(value: &Value) -> Verb {
    Verb {
        name: text(&value["name"]),
        help: text(&value["help"]),
        options: list(&value["options"], text),
    }
}
