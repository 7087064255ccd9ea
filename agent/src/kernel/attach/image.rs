//! The two eBPF objects, as the binary carries them: packed, because most of one is like the rest of it.

use crate::error::AgentError;

/// One of the objects.
#[derive(Clone, Copy, Debug)]
pub(super) enum Image {
    /// For kernels whose verifier takes compare-and-swap and `bpf_loop`.
    Modern,
    /// For those that have neither.
    Baseline,
}

impl Image {
    /// The object in words, because the ELF reader asks for an aligned image.
    pub(super) fn unpacked(self) -> Result<Vec<u64>, AgentError> {
        let packed: &[u8] = match self {
            Self::Modern => include_bytes!(concat!(env!("OUT_DIR"), "/modern.lz4")),
            Self::Baseline => include_bytes!(concat!(env!("OUT_DIR"), "/baseline.lz4")),
        };
        let (bytes, packed) =
            lz4_flex::block::uncompressed_size(packed).map_err(AgentError::Unpack)?;
        let mut image = vec![0_u64; bytes.div_ceil(8)];
        let room = &mut bytemuck::cast_slice_mut(&mut image)[..bytes];
        lz4_flex::block::decompress_into(packed, room).map_err(AgentError::Unpack)?;
        Ok(image)
    }
}
