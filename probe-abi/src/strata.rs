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
    // Another multiplier than the buckets', or a bucket would hold one stratum.
    let hash = key.wrapping_mul(0xd6e8_feb8_6659_fd93) >> 32;
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
}
