//! The dashboard that shows every metric, a panel each, is made from them. What is worth a look of
//! its own is in the others, which are made by hand.

use serde_json::{Value, json};

use crate::{
    check_made,
    names::{Metric, names},
    read,
};

const FILE: &str = "dashboards/pinscope-metrics.json";

/// Of Grafana's 24 columns, and rows.
const WIDTH: usize = 12;
const HEIGHT: usize = 7;

fn dashboard() -> Value {
    let host: Value =
        serde_json::from_str(&read("dashboards/pinscope-host.json")).expect("it is JSON");
    let panels: Vec<_> = names().metrics.iter().enumerate().map(panel).collect();
    json!({
        "uid": "pinscope-metrics",
        "title": "pinscope: all metrics",
        "description": "Every metric there is, one by one.",
        "tags": ["pinscope"],
        "schemaVersion": host["schemaVersion"],
        "editable": true,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": { "from": "now-1h", "to": "now" },
        "templating": host["templating"],
        "panels": panels,
    })
}

fn panel((place, metric): (usize, &Metric)) -> Value {
    let source = json!({ "type": "prometheus", "uid": "${datasource}" });
    json!({
        "id": place + 1,
        "type": "timeseries",
        "title": metric.name,
        "description": metric.help,
        "datasource": source,
        "gridPos": {
            "h": HEIGHT,
            "w": WIDTH,
            "x": place % 2 * WIDTH,
            "y": place / 2 * HEIGHT,
        },
        "targets": [{
            "datasource": source,
            "editorMode": "code",
            "expr": expression(metric),
            "legendFormat": legend(metric),
            "range": true,
            "refId": "A",
        }],
        "fieldConfig": { "defaults": { "unit": unit(metric) }, "overrides": [] },
    })
}

/// Of a counter how fast it grows; of a histogram what all but one in a hundred stay below.
fn expression(metric: &Metric) -> String {
    let name = &metric.name;
    let here = r#"{job=~"$job",instance=~"$instance"}"#;
    let labels: String = metric
        .labels
        .iter()
        .map(|it| format!(", {}", it.name))
        .collect();
    match metric.kind.as_str() {
        "counter" => format!("rate({name}{here}[$__rate_interval])"),
        "histogram" => format!(
            "histogram_quantile(0.99, sum by (le, instance{labels}) \
             (rate({name}_bucket{here}[$__rate_interval])))"
        ),
        _ => format!("{name}{here}"),
    }
}

fn legend(metric: &Metric) -> String {
    let labels = metric
        .labels
        .iter()
        .map(|it| format!(" {{{{{}}}}}", it.name));
    "{{instance}}".to_owned() + &labels.collect::<String>()
}

fn unit(metric: &Metric) -> &'static str {
    match metric.name.trim_end_matches("_total").rsplit('_').next() {
        Some("bytes") => "bytes",
        Some("seconds") => "s",
        _ => "short",
    }
}

#[test]
fn the_dashboard_of_all_metrics_is_made_from_them() {
    let mut wanted = serde_json::to_string_pretty(&dashboard()).expect("it is JSON");
    wanted.push('\n');
    check_made(FILE, &wanted);
}
