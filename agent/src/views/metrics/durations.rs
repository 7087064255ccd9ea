//! Histograms whose counts are kept elsewhere: a scrape shows them as they are.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use prometheus::{
    Opts,
    core::{Collector, Desc, Describer as _},
    proto::{self, LabelPair, Metric, MetricFamily, MetricType},
};

use verdicts::Histogram;

/// One histogram for each set of label values.
#[derive(Clone)]
pub(super) struct Durations {
    desc: Desc,
    labels: Vec<String>,
    shown: Arc<Mutex<BTreeMap<Vec<String>, Histogram>>>,
}

impl Durations {
    pub(super) fn new(opts: &Opts, labels: &[&str]) -> prometheus::Result<Self> {
        let labels: Vec<String> = labels.iter().map(|it| (*it).to_owned()).collect();
        let described = opts.describe()?;
        Ok(Self {
            desc: Desc::new(
                described.fq_name,
                described.help,
                labels.clone(),
                HashMap::new(),
            )?,
            labels,
            shown: Arc::default(),
        })
    }

    /// What is shown from now on under these label values.
    pub(super) fn show(&self, values: &[&str], histogram: &Histogram) {
        let values = values.iter().map(|it| (*it).to_owned()).collect();
        self.shown
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(values, histogram.clone());
    }

    fn metric(&self, values: &[String], histogram: &Histogram) -> Metric {
        let labels = self.labels.iter().zip(values).map(|(name, value)| {
            let mut label = LabelPair::default();
            label.set_name(name.clone());
            label.set_value(value.clone());
            label
        });
        let buckets = histogram.cumulative().map(|(bound, count)| {
            let mut bucket = proto::Bucket::default();
            bucket.set_upper_bound(bound);
            bucket.set_cumulative_count(count);
            bucket
        });
        let mut shown = proto::Histogram::default();
        shown.set_bucket(buckets.collect());
        shown.set_sample_count(histogram.count());
        shown.set_sample_sum(histogram.sum_seconds());
        let mut metric = Metric::from_label(labels.collect());
        metric.set_histogram(shown);
        metric
    }
}

impl Collector for Durations {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let mut family = MetricFamily::default();
        family.set_name(self.desc.fq_name.clone());
        family.set_help(self.desc.help.clone());
        family.set_field_type(MetricType::HISTOGRAM);
        family.set_metric(
            shown
                .iter()
                .map(|(values, histogram)| self.metric(values, histogram))
                .collect(),
        );
        vec![family]
    }
}
