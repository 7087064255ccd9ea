//! Durations counted into fixed buckets, each bound four times the one before.

use probe_abi::HOLD_BUCKETS;

/// Bounds for a walk: 1 µs to about 1 s.
pub(crate) static WALK_BOUNDS_NS: [u64; 11] = bounds(1_000);

/// Bounds for the age of a false positive: 1 ms to more than an hour.
pub(crate) static AGE_BOUNDS_NS: [u64; 12] = bounds(1_000_000);

/// Bounds for hold times: every second one of the probes' buckets, 1 µs to 18
/// minutes.
static HOLD_BOUNDS_NS: [u64; HOLD_BUCKETS / 2] = bounds(1 << 10);

/// How many durations fell under each bound, and their sum.
#[derive(Clone, Debug)]
pub struct Histogram {
    bounds_ns: &'static [u64],
    counts: Vec<u64>,
    count: u64,
    sum_ns: u64,
}

impl Histogram {
    pub(crate) fn new(bounds_ns: &'static [u64]) -> Self {
        Self {
            bounds_ns,
            counts: vec![0; bounds_ns.len()],
            count: 0,
            sum_ns: 0,
        }
    }

    /// From the probes' buckets of hold times.
    #[must_use]
    pub fn of_holds(counts: &[u64; HOLD_BUCKETS], sum_ns: u64) -> Self {
        // The first bucket is all below the first bound; of the others, two lie
        // between one bound and the next. The last is beyond all bounds.
        let (first, others) = (counts[0], &counts[1..HOLD_BUCKETS - 1]);
        let pairs = others.chunks_exact(2).map(|pair| pair.iter().sum());
        Self {
            bounds_ns: &HOLD_BOUNDS_NS,
            counts: std::iter::once(first).chain(pairs).collect(),
            count: counts.iter().sum(),
            sum_ns,
        }
    }

    pub(crate) fn add(&mut self, ns: u64) {
        self.count += 1;
        self.sum_ns = self.sum_ns.saturating_add(ns);
        let bucket = self.bounds_ns.iter().position(|bound| ns <= *bound);
        if let Some(count) = bucket.and_then(|it| self.counts.get_mut(it)) {
            *count += 1;
        }
    }

    /// Durations counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their sum.
    #[must_use]
    pub fn sum_seconds(&self) -> f64 {
        seconds(self.sum_ns)
    }

    /// Each bound in seconds, with the number of durations that do not exceed it.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        self.bounds_ns
            .iter()
            .zip(&self.counts)
            .scan(0, |sum, (bound, count)| {
                *sum += count;
                Some((seconds(*bound), *sum))
            })
    }
}

const fn bounds<const N: usize>(first: u64) -> [u64; N] {
    let mut bounds = [first; N];
    let mut at = 1;
    while at < N {
        bounds[at] = bounds[at - 1] * 4;
        at += 1;
    }
    bounds
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_time_counts_under_the_bounds_that_it_is_below() {
        let mut counts = [0; HOLD_BUCKETS];
        for ns in [500, 3_000, 5_000, 1 << 39, u64::MAX] {
            counts[probe_abi::hold_bucket(ns)] += 1;
        }
        let histogram = Histogram::of_holds(&counts, 1);
        let at_most = |ns: u64| {
            let seconds = seconds(ns);
            let under = histogram.cumulative().filter(|it| it.0 <= seconds);
            under.last().map_or(0, |it| it.1)
        };
        assert_eq!(at_most(1 << 10), 1);
        assert_eq!(at_most(1 << 12), 2);
        assert_eq!(at_most(1 << 14), 3);
        assert_eq!(at_most(1 << 40), 4);
        assert_eq!(histogram.count(), 5);
    }

    #[test]
    fn a_duration_counts_under_every_bound_that_it_does_not_exceed() {
        let mut histogram = Histogram::new(&WALK_BOUNDS_NS);
        for ns in [0, 1_000, 1_001, u64::MAX] {
            histogram.add(ns);
        }
        let cumulative: Vec<u64> = histogram.cumulative().map(|it| it.1).collect();
        assert_eq!(cumulative[..3], [2, 3, 3]);
        assert_eq!(histogram.count(), 4);
    }
}
