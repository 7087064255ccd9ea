//! Where the array of every `struct page` begins, from the ranges of `/proc/kcore` alone: the kernel
//! lists each piece of memory and, beside it, the part of the array that describes it. Pure.

use std::collections::BTreeMap;

use super::kcore::Range;

/// The address that page 0 has in the array, whether there is such a page or not. `None` if no piece of
/// memory has its part of the array.
#[must_use]
pub fn base(ranges: &[Range], page_bytes: u64, struct_bytes: u64) -> Option<u64> {
    let mut votes: BTreeMap<u64, u64> = BTreeMap::new();
    for memory in ranges {
        let Some(physical) = memory.physical else {
            continue;
        };
        let first = physical.div_ceil(page_bytes);
        let behind = (physical + memory.bytes) / page_bytes;
        // A part of the array is told in whole pages.
        let start = first * struct_bytes / page_bytes * page_bytes;
        let end = (behind * struct_bytes).next_multiple_of(page_bytes);
        for part in ranges.iter().filter(|it| it.physical.is_none()) {
            // The last page of one part may be the first of the next, and is told once.
            let is_whole = part.bytes == end - start || part.bytes + page_bytes == end - start;
            if let Some(base) = part.address.checked_sub(start)
                && is_whole
            {
                *votes.entry(base).or_default() += memory.bytes;
            }
        }
    }
    let most = votes.into_iter().max_by_key(|(_, bytes)| *bytes)?;
    Some(most.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As told by kernel 6.1 with 1 GiB.
    fn told() -> Vec<Range> {
        vec![
            Range::new(0xffff_ffff_b1a0_0000, 0x283_0000, Some(0x21e0_0000)),
            Range::new(0xff75_0c0d_c000_0000, 0x31_ffff_ffff_ffff, None),
            Range::new(0xffff_ffff_c000_0000, 0x3f00_0000, None),
            Range::new(0xff49_36eb_0000_1000, 0x9_e000, Some(0x1000)),
            Range::new(0xffc4_5b6a_c000_0000, 0x3000, None),
            Range::new(0xff49_36eb_0010_0000, 0x3fed_7000, Some(0x10_0000)),
            Range::new(0xffc4_5b6a_c000_4000, 0xff_c000, None),
        ]
    }

    #[test]
    fn the_array_begins_where_every_piece_of_memory_says() {
        assert_eq!(base(&told(), 4096, 64), Some(0xffc4_5b6a_c000_0000));
    }

    #[test]
    fn one_piece_is_enough_and_none_is_not() {
        let mut ranges = told();
        ranges.truncate(5);
        assert_eq!(base(&ranges, 4096, 64), Some(0xffc4_5b6a_c000_0000));
        ranges.truncate(4);
        assert_eq!(base(&ranges, 4096, 64), None);
    }
}
