//! One block of a recording: its header, its checksum, and samples packed so
//! that they compress well and unpack fast.

use probe_abi::MkcleanSample;

use super::head::{BLOCK_SAMPLES, MOST_BLOCK_BYTES};

pub(super) const HEADER_BYTES: usize = 16;

/// What a block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Head,
    Samples,
    Losses,
    End,
}

impl Kind {
    pub(super) const fn number(self) -> u32 {
        match self {
            Self::Head => 1,
            Self::Samples => 2,
            Self::Losses => 3,
            Self::End => 4,
        }
    }

    pub(super) fn from_number(number: u32) -> Option<Self> {
        [Self::Head, Self::Samples, Self::Losses, Self::End]
            .into_iter()
            .find(|it| it.number() == number)
    }
}

/// The header of a block, as it stands in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: u32,
    pub(super) stored: u32,
    pub(super) raw: u32,
    pub(super) checksum: u32,
}

impl Header {
    pub(super) fn to_bytes(self) -> [u8; HEADER_BYTES] {
        bytemuck::cast([self.kind, self.stored, self.raw, self.checksum])
    }

    pub(super) fn from_bytes(bytes: [u8; HEADER_BYTES]) -> Self {
        let [kind, stored, raw, checksum] = bytemuck::cast(bytes);
        Self {
            kind,
            stored,
            raw,
            checksum,
        }
    }

    /// The checksum that the block should have.
    pub(super) fn sum(self, stored: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        for number in [self.kind, self.stored, self.raw] {
            hasher.update(&number.to_le_bytes());
        }
        hasher.update(stored);
        hasher.finalize()
    }
}

const SAMPLE_BYTES: usize = size_of::<MkcleanSample>();

/// Count, bits of the columns that change, first sample.
const SAMPLES_HEADER_BYTES: usize = 4 + 16 + SAMPLE_BYTES;

type Bytes = [u8; SAMPLE_BYTES];

/// Lays samples out by byte: neighbours differ in few, and most columns vanish.
pub(super) fn pack(samples: &[MkcleanSample], out: &mut Vec<u8>) {
    let samples: &[Bytes] = bytemuck::cast_slice(samples);
    out.clear();
    let Some(first) = samples.first() else { return };
    let mut changed = 0_u128;
    for sample in samples {
        for (at, (now, before)) in sample.iter().zip(first).enumerate() {
            changed |= u128::from(now != before) << at;
        }
    }
    out.extend((samples.len() as u32).to_le_bytes());
    out.extend(changed.to_le_bytes());
    out.extend(first);
    for at in columns(changed) {
        out.extend(samples.windows(2).map(|two| two[0][at] ^ two[1][at]));
    }
}

/// The samples that were packed, or nothing where these bytes cannot be theirs.
pub(super) fn unpack(packed: &[u8], out: &mut Vec<MkcleanSample>) -> Option<()> {
    out.clear();
    let (count, rest) = packed.split_first_chunk::<4>()?;
    let (changed, rest) = rest.split_first_chunk::<16>()?;
    let (first, rest) = rest.split_first_chunk::<SAMPLE_BYTES>()?;
    let count = u32::from_le_bytes(*count) as usize;
    let changed = u128::from_le_bytes(*changed);
    let follow = count.checked_sub(1)?;
    let fits = count <= BLOCK_SAMPLES
        && changed >> SAMPLE_BYTES == 0
        && rest.len() == follow * changed.count_ones() as usize;
    if !fits {
        return None;
    }
    out.resize(count, bytemuck::pod_read_unaligned(first));
    let samples: &mut [Bytes] = bytemuck::cast_slice_mut(out);
    for (at, column) in columns(changed).zip(rest.chunks_exact(follow.max(1))) {
        let mut now = first[at];
        for (sample, difference) in samples.iter_mut().skip(1).zip(column) {
            now ^= difference;
            sample[at] = now;
        }
    }
    Some(())
}

/// The numbers of the bits that are set.
fn columns(changed: u128) -> impl Iterator<Item = usize> {
    (0..SAMPLE_BYTES).filter(move |at| changed >> at & 1 == 1)
}

const _: () =
    assert!(SAMPLES_HEADER_BYTES + (BLOCK_SAMPLES - 1) * SAMPLE_BYTES <= MOST_BLOCK_BYTES);
const _: () = assert!(SAMPLE_BYTES <= 128, "a bit for each byte");
