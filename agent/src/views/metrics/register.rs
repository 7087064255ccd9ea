//! Making a metric and registering it in one step.

use prometheus::{
    Gauge, GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    core::Collector,
};

use super::durations::Durations;

fn add<M: Collector + Clone + 'static>(registry: &Registry, metric: M) -> prometheus::Result<M> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("pinscope")
}

pub(super) fn counter(
    registry: &Registry,
    name: &str,
    help: &str,
) -> prometheus::Result<IntCounter> {
    add(registry, IntCounter::with_opts(opts(name, help))?)
}

pub(super) fn counters(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> prometheus::Result<IntCounterVec> {
    add(registry, IntCounterVec::new(opts(name, help), labels)?)
}

pub(super) fn gauge(registry: &Registry, name: &str, help: &str) -> prometheus::Result<IntGauge> {
    add(registry, IntGauge::with_opts(opts(name, help))?)
}

pub(super) fn gauges(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> prometheus::Result<IntGaugeVec> {
    add(registry, IntGaugeVec::new(opts(name, help), labels)?)
}

pub(super) fn float_gauge(
    registry: &Registry,
    name: &str,
    help: &str,
) -> prometheus::Result<Gauge> {
    add(registry, Gauge::with_opts(opts(name, help))?)
}

pub(super) fn float_gauges(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> prometheus::Result<GaugeVec> {
    add(registry, GaugeVec::new(opts(name, help), labels)?)
}

pub(super) fn histograms(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> prometheus::Result<Durations> {
    add(registry, Durations::new(&opts(name, help), labels)?)
}

/// Makes a counter say what was counted elsewhere.
pub(super) fn set(counter: &IntCounter, total: u64) {
    counter.reset();
    counter.inc_by(total);
}
