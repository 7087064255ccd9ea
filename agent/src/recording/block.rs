//! One block of a recording: its header, its checksum, and samples laid out so
//! that they compress well.

use probe_abi::MkcleanSample;

use super::SAMPLE_WORDS;

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

type Words = [u32; SAMPLE_WORDS];

/// Lays samples out by word. Neighbours differ in few words, and those that don't
/// become long runs of zeros.
pub(super) fn transpose(samples: &[MkcleanSample], out: &mut Vec<u32>) {
    let samples: &[Words] = bytemuck::cast_slice(samples);
    out.clear();
    for word in 0..SAMPLE_WORDS {
        let mut before = 0;
        out.extend(samples.iter().map(|it| {
            let now = it[word];
            now ^ std::mem::replace(&mut before, now)
        }));
    }
}

/// The samples that were laid out as `columns`.
pub(super) fn restore(columns: &[u32], out: &mut Vec<MkcleanSample>) {
    let count = columns.len() / SAMPLE_WORDS;
    out.clear();
    out.resize(count, MkcleanSample::default());
    let samples: &mut [Words] = bytemuck::cast_slice_mut(out);
    for (word, column) in columns.chunks_exact(count.max(1)).enumerate() {
        let mut before = 0;
        for (sample, changed) in samples.iter_mut().zip(column) {
            before ^= changed;
            sample[word] = before;
        }
    }
}
