//! Every metric there is: a row in a table, with what it is called, what it says and where its
//! values come from. Names and labels are a contract; label sets are bounded.

mod agent;
mod blind;
pub(crate) mod document;
mod estimators;
mod family;
mod labels;
mod owners;
mod tables;
mod totals;

use prometheus::{TextEncoder, proto::MetricFamily};

use self::{
    family::{Metric, Samples},
    tables::all,
};
use crate::{collect::Snapshot, error::AgentError};
use blind::Blind;

/// Few hosts have more to tell.
const USUAL_BYTES: usize = 128 << 10;

/// A snapshot in Prometheus's text format. What a hook that is blind would feed is absent.
pub(crate) fn text(snapshot: &Snapshot) -> Result<Vec<u8>, AgentError> {
    let blind = Blind::of(&snapshot.agent.hooks);
    let shown = all().filter(|it| !it.inputs.iter().any(|it| blind.has(*it)));
    let families: Vec<MetricFamily> = shown.filter_map(|it| family(it, snapshot)).collect();
    encoded(&families)
}

/// The same of an agent that is switched off: that it is.
pub(crate) fn switched_off() -> Result<Vec<u8>, AgentError> {
    let mut samples = Samples::of(&agent::SWITCHED_OFF);
    samples.one(1);
    let families: Vec<MetricFamily> = samples.family().into_iter().collect();
    encoded(&families)
}

fn encoded(families: &[MetricFamily]) -> Result<Vec<u8>, AgentError> {
    let mut text = String::with_capacity(USUAL_BYTES);
    TextEncoder::new().encode_utf8(families, &mut text)?;
    Ok(text.into_bytes())
}

/// `None` where it has no sample: the encoder takes no such family.
fn family(metric: &'static Metric, snapshot: &Snapshot) -> Option<MetricFamily> {
    let mut samples = Samples::of(metric);
    (metric.values)(snapshot, &mut samples);
    samples.family()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_name_is_one_metric_and_follows_the_conventions() {
        let mut names = BTreeSet::new();
        for metric in all() {
            assert!(names.insert(metric.name), "{} is there twice", metric.name);
            let is_total = metric.name.ends_with("_total");
            assert_eq!(is_total, metric.is_counter(), "{}", metric.name);
            assert!(
                metric.help.ends_with('.'),
                "{}: {}",
                metric.name,
                metric.help
            );
            for forbidden in ["pid", "comm", "stack"] {
                assert!(
                    metric.labels.iter().all(|it| it.name != forbidden),
                    "{}",
                    metric.name
                );
            }
        }
    }
}
