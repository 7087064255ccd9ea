//! The frames that the kernel's zones span, of all nodes, from `/proc/zoneinfo`. A span may have holes.

use std::fs;
use std::ops::Range;

use anyhow::{Context, Result, ensure};

/// Reads them, in order and without overlap.
pub fn read() -> Result<Vec<Range<u64>>> {
    let text = fs::read_to_string("/proc/zoneinfo").context("/proc/zoneinfo cannot be read")?;
    let spans = parse(&text);
    ensure!(!spans.is_empty(), "/proc/zoneinfo tells of no memory");
    Ok(spans)
}

fn parse(text: &str) -> Vec<Range<u64>> {
    let mut spans = Vec::new();
    // Every zone begins with `Node 0, zone   Normal`.
    for zone in text.split("Node ") {
        let number = |name: &str| -> Option<u64> {
            let mut lines = zone.lines().map(str::trim_start);
            lines
                .find_map(|line| line.strip_prefix(name))?
                .trim()
                .parse()
                .ok()
        };
        // One without pages does not say where it begins.
        if let (Some(first), Some(pages @ 1..)) = (number("start_pfn:"), number("spanned ")) {
            spans.push(first..first + pages);
        }
    }
    merged(spans)
}

/// Zones of two nodes may lie within one another.
fn merged(mut spans: Vec<Range<u64>>) -> Vec<Range<u64>> {
    spans.sort_by_key(|span| span.start);
    let mut merged: Vec<Range<u64>> = Vec::new();
    for span in spans {
        match merged.last_mut() {
            Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
            _ => merged.push(span),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::{merged, parse};

    #[test]
    fn zones_of_all_nodes_are_spans_and_empty_ones_are_none() {
        let text = "Node 0, zone      DMA
  per-node stats
      nr_inactive_anon 12
  pages free     2816
        boost    0
        spanned  4095
        present  3998
        managed  3840
  start_pfn:           1
Node 0, zone   Normal
  pages free     0
        spanned  0
Node 1, zone  Normal
  pages free     1
        spanned  100
  start_pfn:           65536
";
        assert_eq!(parse(text), [1..4096, 65_536..65_636]);
    }

    #[test]
    fn spans_that_touch_or_overlap_are_looked_at_once() {
        assert_eq!(merged(vec![5..9, 0..5, 7..8, 20..21]), [0..9, 20..21]);
    }
}
