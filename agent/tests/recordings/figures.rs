//! The tables of the measured part of the document.

use std::fmt::Write as _;

use serde_json::Value;

/// Everything between the marks.
pub(crate) fn markdown(reports: &[(String, Value)]) -> String {
    let mut text = String::from(
        "\n| kernel | workload | walks judged | zapped | GUPed | mean walk | lost samples |\n\
         | --- | --- | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for (name, report) in reports {
        let walks = &report["walks"];
        let seconds = &walks["seconds"];
        let mean = number(&seconds["sum"]) / number(&seconds["count"]).max(1.0) * 1e6;
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {mean:.1} µs | {} |",
            report["kernel"].as_str().unwrap_or("?"),
            workload(name),
            report["samples"],
            walks.get("zapped").map_or("-".to_owned(), Value::to_string),
            walks["guped"],
            report["lost"]["samples"]
        );
    }
    text.push_str(
        "\n| kernel | workload | estimator | true + | false + | true - | false - | uncertain | \
         precision | recall | not pinned, but held | pinned, but free | false + healed / GUPed again / \
         open |\n| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- | --- | ---: |\n",
    );
    for (name, report) in reports {
        for scored in report["estimators"].as_array().into_iter().flatten() {
            row(&mut text, name, scored);
        }
    }
    text.push('\n');
    text
}

fn row(text: &mut String, name: &str, scored: &Value) {
    let score = &scored["against_kernel"];
    let ended = &scored["false_positives"];
    let _ = writeln!(
        text,
        "| {} | {} | `{}` | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} / {} / {} |",
        series(name),
        workload(name),
        scored["estimator"].as_str().unwrap_or("?"),
        score["true_positive"],
        score["false_positive"],
        score["true_negative"],
        score["false_negative"],
        score["uncertain"],
        share(&score["precision"]),
        share(&score["recall"]),
        races(&scored["wrong"]["false_negative"]),
        races(&scored["wrong"]["false_positive"]),
        ended["healed_seconds"]["count"],
        ended["guped_again"],
        ended["open"]
    );
}

fn series(name: &str) -> &str {
    name.split_once('-').map_or(name, |(kernel, _)| kernel)
}

fn workload(name: &str) -> &str {
    name.split_once('-').map_or(name, |(_, workload)| workload)
}

fn races(by_race: &Value) -> String {
    let races: Vec<String> = by_race
        .as_object()
        .into_iter()
        .flatten()
        .map(|(race, walks)| format!("{walks} {}", race.replace('_', " ")))
        .collect();
    if races.is_empty() {
        return "-".to_owned();
    }
    races.join(", ")
}

fn share(value: &Value) -> String {
    value
        .as_f64()
        .map_or("-".to_owned(), |share| format!("{share:.4}"))
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_default()
}
