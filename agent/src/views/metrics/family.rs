//! What a metric is, and its samples.

use hooks::Feeds;
use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram as ProtoHistogram, LabelPair, Metric as Sample, MetricFamily,
    MetricType,
};
use verdicts::Histogram;

use super::labels::Label;
use crate::collect::Snapshot;

/// What all names begin with.
const NAMESPACE: &str = "pinscope";

/// One metric. To add one, add a row to a table.
pub(crate) struct Metric {
    /// Without the part that all begin with.
    pub(super) name: &'static str,
    kind: MetricType,
    pub(crate) help: &'static str,
    pub(crate) labels: &'static [Label],
    /// What it is made from; where one of them is not seen, it is absent.
    pub(super) inputs: &'static [Feeds],
    /// Its values.
    pub(super) values: fn(&Snapshot, &mut Samples),
}

impl Metric {
    const fn of(
        kind: MetricType,
        name: &'static str,
        help: &'static str,
        values: fn(&Snapshot, &mut Samples),
    ) -> Self {
        Self {
            name,
            kind,
            help,
            labels: &[],
            inputs: &[],
            values,
        }
    }

    /// With labels.
    pub(super) const fn by(mut self, labels: &'static [Label]) -> Self {
        self.labels = labels;
        self
    }

    /// Made from these.
    pub(super) const fn from(mut self, inputs: &'static [Feeds]) -> Self {
        self.inputs = inputs;
        self
    }

    /// The whole name.
    pub(crate) fn full_name(&self) -> String {
        format!("{NAMESPACE}_{}", self.name)
    }

    /// counter, gauge or histogram.
    pub(crate) fn kind(&self) -> &'static str {
        match self.kind {
            MetricType::COUNTER => "counter",
            MetricType::HISTOGRAM => "histogram",
            _ => "gauge",
        }
    }

    #[cfg(test)]
    pub(super) fn is_counter(&self) -> bool {
        self.kind() == "counter"
    }
}

/// A metric that only grows.
pub(super) const fn counter(
    name: &'static str,
    help: &'static str,
    values: fn(&Snapshot, &mut Samples),
) -> Metric {
    Metric::of(MetricType::COUNTER, name, help, values)
}

/// A metric that grows and falls.
pub(super) const fn gauge(
    name: &'static str,
    help: &'static str,
    values: fn(&Snapshot, &mut Samples),
) -> Metric {
    Metric::of(MetricType::GAUGE, name, help, values)
}

/// Durations.
pub(super) const fn histogram(
    name: &'static str,
    help: &'static str,
    values: fn(&Snapshot, &mut Samples),
) -> Metric {
    Metric::of(MetricType::HISTOGRAM, name, help, values)
}

/// The samples of a metric.
pub(crate) struct Samples {
    metric: &'static Metric,
    samples: Vec<Sample>,
}

impl Samples {
    pub(super) fn of(metric: &'static Metric) -> Self {
        Self {
            metric,
            samples: Vec::new(),
        }
    }

    /// The one value of a metric without labels.
    pub(super) fn one(&mut self, value: u64) {
        self.add(&[], value as f64);
    }

    /// A count under label values.
    pub(super) fn count(&mut self, labels: &[&str], value: u64) {
        self.add(labels, value as f64);
    }

    /// A value under label values, in the order of the metric's labels.
    pub(super) fn add(&mut self, labels: &[&str], value: f64) {
        let mut sample = self.labelled(labels);
        match self.metric.kind {
            MetricType::COUNTER => {
                let mut counter = Counter::default();
                counter.set_value(value);
                sample.set_counter(counter);
            }
            _ => {
                let mut gauge = Gauge::default();
                gauge.set_value(value);
                sample.set_gauge(gauge);
            }
        }
        self.samples.push(sample);
    }

    /// A histogram under label values.
    pub(super) fn histogram(&mut self, labels: &[&str], histogram: &Histogram) {
        let buckets = histogram.cumulative().map(|(bound, count)| {
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(bound);
            bucket.set_cumulative_count(count);
            bucket
        });
        let mut shown = ProtoHistogram::default();
        shown.set_bucket(buckets.collect());
        shown.set_sample_count(histogram.count());
        shown.set_sample_sum(histogram.sum_seconds());
        let mut sample = self.labelled(labels);
        sample.set_histogram(shown);
        self.samples.push(sample);
    }

    fn labelled(&self, values: &[&str]) -> Sample {
        debug_assert_eq!(
            values.len(),
            self.metric.labels.len(),
            "{}",
            self.metric.name
        );
        let labels = self.metric.labels.iter().zip(values).map(|(label, value)| {
            debug_assert!(
                label.values().is_none_or(|it| it.contains(value)),
                "{}: {} {value}",
                self.metric.name,
                label.name
            );
            let mut pair = LabelPair::default();
            pair.set_name(label.name.to_owned());
            pair.set_value((*value).to_owned());
            pair
        });
        Sample::from_label(labels.collect())
    }

    pub(super) fn family(self) -> Option<MetricFamily> {
        if self.samples.is_empty() {
            return None;
        }
        let mut family = MetricFamily::default();
        family.set_name(self.metric.full_name());
        family.set_help(self.metric.help.to_owned());
        family.set_field_type(self.metric.kind);
        family.set_metric(self.samples);
        Some(family)
    }
}
