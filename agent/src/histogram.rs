//! Durations counted into fixed buckets, each bound four times the one before.

/// Bounds for a walk: 1 µs to about 1 s.
pub(crate) static WALK_BOUNDS_NS: [u64; 11] = bounds(1_000);

/// Bounds for the age of a false positive: 1 ms to more than an hour.
pub(crate) static AGE_BOUNDS_NS: [u64; 12] = bounds(1_000_000);

/// How many durations fell under each bound, and their sum.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
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

    pub(crate) fn add(&mut self, ns: u64) {
        self.count += 1;
        self.sum_ns = self.sum_ns.saturating_add(ns);
        let bucket = self.bounds_ns.iter().position(|bound| ns <= *bound);
        if let Some(count) = bucket.and_then(|it| self.counts.get_mut(it)) {
            *count += 1;
        }
    }

    /// Durations counted.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn sum_seconds(&self) -> f64 {
        seconds(self.sum_ns)
    }

    /// Each bound in seconds, with the number of durations that do not exceed it.
    pub(crate) fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
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
    fn a_duration_counts_under_every_bound_that_it_does_not_exceed() {
        let mut histogram = Histogram::new(&WALK_BOUNDS_NS);
        for ns in [0, 1_000, 1_001, u64::MAX] {
            histogram.add(ns);
        }
        let cumulative: Vec<u64> = histogram.cumulative().map(|(_, count)| count).collect();
        assert_eq!(cumulative[..3], [2, 3, 3]);
        assert_eq!(histogram.count(), 4);
    }
}
