//! The frames that the kernel's zones span, from `/proc/zoneinfo`. A span may have holes.

use std::{fs, ops::Range};

use crate::error::AgentError;

const ZONEINFO: &str = "/proc/zoneinfo";

/// A zone of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Zone {
    pub(super) node: u32,
    pub(super) name: String,
    pub(super) span: Range<u64>,
}

/// All that have pages.
pub(super) fn read() -> Result<Vec<Zone>, AgentError> {
    let text = fs::read_to_string(ZONEINFO).map_err(|source| AgentError::Read {
        path: ZONEINFO.into(),
        source,
    })?;
    match parse(&text) {
        zones if zones.is_empty() => Err(AgentError::Unfit {
            why: Some(format!("{ZONEINFO} tells of no memory")),
        }),
        zones => Ok(zones),
    }
}

fn parse(text: &str) -> Vec<Zone> {
    // Every zone begins with `Node 0, zone   Normal`.
    text.split("Node ").filter_map(zone).collect()
}

fn zone(text: &str) -> Option<Zone> {
    let (head, rest) = text.split_once('\n')?;
    let (node, name) = head.split_once(", zone")?;
    let number = |name: &str| -> Option<u64> {
        let mut lines = rest.lines().map(str::trim_start);
        let value = lines.find_map(|it| it.strip_prefix(name))?;
        value.trim().parse().ok()
    };
    // One without pages does not say where it begins.
    let (first, pages) = (number("start_pfn:")?, number("spanned ")?);
    let end = first.checked_add(pages)?;
    (pages > 0).then(|| Zone {
        node: node.trim().parse().unwrap_or_default(),
        name: name.trim().to_owned(),
        span: first..end,
    })
}

/// What they span together, in order: zones of two nodes may lie within one another.
pub(super) fn merged(zones: &[Zone]) -> Vec<Range<u64>> {
    let mut spans: Vec<Range<u64>> = zones.iter().map(|it| it.span.clone()).collect();
    spans.sort_by_key(|it| it.start);
    let mut merged: Vec<Range<u64>> = Vec::new();
    for span in spans {
        match merged.last_mut() {
            Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
            _ => merged.push(span),
        }
    }
    merged
}

/// What of them lies in a range.
pub(super) fn within(spans: &[Range<u64>], range: &Range<u64>) -> Vec<Range<u64>> {
    let cut = |it: &Range<u64>| it.start.max(range.start)..it.end.min(range.end);
    spans
        .iter()
        .map(cut)
        .filter(|it| it.start < it.end)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_with_pages_are_told_with_their_node() {
        let text = "Node 0, zone      DMA
  per-node stats
      nr_inactive_anon 12
  pages free     2816
        spanned  4095
        present  3998
  start_pfn:           1
Node 0, zone   Normal
  pages free     0
        spanned  0
Node 1, zone  Normal
        spanned  100
  start_pfn:           65536
";
        let zones = parse(text);
        assert_eq!(
            zones,
            [
                Zone {
                    node: 0,
                    name: "DMA".to_owned(),
                    span: 1..4096
                },
                Zone {
                    node: 1,
                    name: "Normal".to_owned(),
                    span: 65_536..65_636
                },
            ]
        );
    }

    #[test]
    fn spans_that_overlap_are_walked_once_and_cut_to_a_range() {
        let zone = |span| Zone {
            node: 0,
            name: String::new(),
            span,
        };
        let spans = merged(&[zone(5..9), zone(0..5), zone(7..8), zone(20..30)]);
        assert_eq!(spans, [0..9, 20..30]);
        assert_eq!(within(&spans, &(8..22)), [8..9, 20..22]);
        assert_eq!(within(&spans, &(9..20)), []);
    }

    #[test]
    fn fuzz_zoneinfo() {
        crate::fuzz::bytes(&[b"Node 0, zone   Normal\n  pages free 1\n        spanned  100\n  start_pfn:           4096\n",
 b"Node 0, zone Normal\n spanned 100\n start_pfn: 18446744073709551615\n"], |it| {
            drop(merged(&parse(&String::from_utf8_lossy(it))));
        });
    }
}
