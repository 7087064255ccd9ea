//! What is different for us on one kernel from another: facts, and what the plan makes of them.
//! Pure. Leaves out where the two come from.

use std::collections::BTreeSet;

use serde_json::Value;

/// Kinds of facts that are names with a value, and what the value is.
const PLAIN: [(&str, &str); 4] = [
    ("members", "offset of"),
    ("sizes", "size of"),
    ("enumerators", "value of"),
    ("methods", "attaching by"),
];

/// One line for each difference.
pub(crate) fn of_facts(old: &Value, new: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    for name in names(&old["functions"], &new["functions"]) {
        let (before, after) = (&old["functions"][name], &new["functions"][name]);
        match (before.is_null(), after.is_null()) {
            (true, _) => lines.push(format!("function {name}: new, {}", prototype(after))),
            (_, true) => lines.push(format!("function {name}: gone")),
            (false, false) => lines.extend(of_function(name, before, after)),
        }
    }
    for (kind, what) in PLAIN {
        for name in names(&old[kind], &new[kind]) {
            let (before, after) = (&old[kind][name], &new[kind][name]);
            if before != after {
                lines.push(format!(
                    "{what} {name}: {} -> {}",
                    shown(before),
                    shown(after)
                ));
            }
        }
    }
    // Every address is another one; what matters is whether there is one.
    for name in names(&old["symbols"], &new["symbols"]) {
        match (
            old["symbols"][name].is_null(),
            new["symbols"][name].is_null(),
        ) {
            (true, _) => lines.push(format!("symbol {name}: new")),
            (_, true) => lines.push(format!("symbol {name}: gone")),
            (false, false) => {}
        }
    }
    lines
}

fn of_function(name: &str, before: &Value, after: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    if before["arguments"] != after["arguments"] {
        let (before, after) = (prototype(before), prototype(after));
        lines.push(format!("function {name}: {before} -> {after}"));
    }
    for key in ["traceable", "kprobe_forbidden"] {
        if before[key] != after[key] {
            let (before, after) = (shown(&before[key]), shown(&after[key]));
            lines.push(format!("function {name}: {key}: {before} -> {after}"));
        }
    }
    lines
}

fn prototype(function: &Value) -> String {
    match function["arguments"].as_array() {
        None => "not in BTF".to_owned(),
        Some(arguments) => {
            let arguments: Vec<_> = arguments.iter().filter_map(Value::as_str).collect();
            format!("({})", arguments.join(", "))
        }
    }
}

fn names<'a>(old: &'a Value, new: &'a Value) -> BTreeSet<&'a str> {
    let keys = |it: &'a Value| it.as_object().into_iter().flat_map(|it| it.keys());
    keys(old).chain(keys(new)).map(String::as_str).collect()
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(it) => it.clone(),
        other => other.to_string(),
    }
}

/// Rows of the document's tables whose cells differ between two kernels' columns: what the plan
/// chooses.
pub(crate) fn of_document(document: &str, old: &str, new: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut places = None;
    let mut head = String::new();
    for line in document.lines() {
        let Some(row) = line.strip_prefix("| ") else {
            places = None;
            continue;
        };
        let cells: Vec<_> = row.trim_end_matches(" |").split(" | ").collect();
        let Some((before, after)) = places else {
            let place = |kernel| cells.iter().position(|cell| *cell == kernel);
            places = place(old).zip(place(new));
            head = cells[0].to_owned();
            continue;
        };
        if let (Some(before), Some(after)) = (cells.get(before), cells.get(after))
            && before != after
        {
            lines.push(format!("{head} {}: {before} -> {after}", cells[0]));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_kind_of_difference_is_told_and_addresses_are_not() {
        let old = json!({
            "functions": {
                "gone": { "arguments": [], "traceable": true },
                "other": { "arguments": ["int"], "traceable": true },
                "same": { "arguments": ["int"], "traceable": true },
            },
            "members": { "page.flags": 0, "page.index": 32 },
            "symbols": { "same": { "start": 1, "end": 2 } },
            "methods": { "fentry": "Yes" },
        });
        let new = json!({
            "functions": {
                "new": { "arguments": ["int", "bool"], "traceable": true },
                "other": { "arguments": ["struct page *"], "traceable": false },
                "same": { "arguments": ["int"], "traceable": true },
            },
            "members": { "page.flags": 8 },
            "symbols": { "same": { "start": 5, "end": 9 } },
            "methods": { "fentry": { "No": "closed" } },
        });
        assert_eq!(
            of_facts(&old, &new),
            [
                "function gone: gone",
                "function new: new, (int, bool)",
                "function other: (int) -> (struct page *)",
                "function other: traceable: true -> false",
                "offset of page.flags: 0 -> 8",
                "offset of page.index: 32 -> none",
                "attaching by fentry: Yes -> {\"No\":\"closed\"}",
            ]
        );
        assert!(of_facts(&old, &old).is_empty());
    }

    #[test]
    fn two_columns_of_the_document_are_compared() {
        let document = "\
| hook | 7.2 | 7.3 |
| --- | --- | --- |
| `zap` | `a` | `b` |
| `walk` | `c` | `c` |

| hook | function | why not |
| --- | --- | --- |
| 7.2 | 7.3 | x |
";
        assert_eq!(
            of_document(document, "7.2", "7.3"),
            ["hook `zap`: `a` -> `b`"]
        );
    }
}
