//! Consistent sampling of folios.
//!
//! Each folio belongs to one stratum, for ever. Half of all folios are in
//! stratum 0, a quarter in stratum 1, and so on. At level `n` the ledger takes
//! pins on folios of the strata from `n` on, which each level has a subset of. What
//! it took before stays until it is released or makes room.

/// Strata there are; the last one has all that is left.
pub const STRATA: usize = 16;

/// Stratum of a folio, from its ledger key.
#[must_use]
#[inline(always)]
pub const fn stratum(key: u64) -> u32 {
    // Another multiplier than the buckets', or a bucket would hold one stratum. Twice, because of
    // one product the neighbours of a folio that is kept are kept or not by a pattern: of memory
    // in large pieces a sample would be far from what chance gives, and from the error told.
    const MULTIPLIER: u64 = 0xd6e8_feb8_6659_fd93;
    let product = key.wrapping_mul(MULTIPLIER);
    let hash = (product ^ product >> 32).wrapping_mul(MULTIPLIER) >> 32;
    (hash | 1 << (STRATA - 1)).trailing_zeros()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stratum_has_half_of_what_the_ones_before_left() {
        let mut counts = [0u32; STRATA];
        for key in 0..1u64 << 20 {
            counts[stratum(key) as usize] += 1;
        }
        let mut left = 1u32 << 20;
        for (stratum, count) in counts.iter().enumerate().take(8) {
            let share = f64::from(*count) / f64::from(left);
            assert!((0.47..0.53).contains(&share), "stratum {stratum}: {share}");
            left -= count;
        }
    }

    /// As the kernel gives it out: pieces of 2^order pages, each somewhere.
    #[test]
    fn of_memory_in_pieces_the_sample_is_as_far_off_as_chance_would_have_it() {
        const PAGES: u64 = 8192;
        const TIMES: u64 = 200;
        let mut random = 0x2545_f491_4f6c_dd1d_u64;
        for level in [1, 2, 3, 5] {
            for order in [0, 3, 6, 9, 10] {
                let mut squares = 0.0;
                for _time in 0..TIMES {
                    let mut kept = 0;
                    for _piece in 0..PAGES >> order {
                        random ^= random << 13;
                        random ^= random >> 7;
                        random ^= random << 17;
                        let first = (random >> 44) << order;
                        let piece = first..first + (1 << order);
                        kept += piece.filter(|key| stratum(*key) >= level).count();
                    }
                    let part = 0.5_f64.powi(level as i32);
                    let variance = PAGES as f64 * part * (1.0 - part);
                    squares += (kept as f64 - PAGES as f64 * part).powi(2) / variance;
                }
                let by_chance = squares / TIMES as f64;
                assert!(
                    (0.6..1.5).contains(&by_chance),
                    "level {level}, order {order}: {by_chance}"
                );
            }
        }
    }
}
