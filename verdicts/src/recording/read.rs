//! Reading a recording. A file is hostile: whatever it says, memory stays bounded
//! and what is wrong is reported with its offset.

use std::io::{self, Read};

use probe_abi::{ABI_VERSION, MkcleanSample};

use super::{
    block::{HEADER_BYTES, Header, Kind, unpack},
    head::{FORMAT_VERSION, Head, MAGIC, MOST_BLOCK_BYTES, PREAMBLE_BYTES},
};
use crate::judge::{Inputs, Losses};

/// Reads a recording from its start.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    head: Head,
    offset: u64,
    seen: u64,
    ended: bool,
    stored: Vec<u8>,
    raw: Vec<u8>,
    samples: Vec<MkcleanSample>,
}

/// The next part of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunk<'a> {
    /// Samples, in order.
    Samples(&'a [MkcleanSample]),
    /// What was lost before the samples that follow.
    Losses(Losses),
}

/// Where a file is not what it should be. What came before is good.
#[derive(Debug, thiserror::Error)]
#[error("{fault}, at byte {offset}")]
pub struct Damage {
    /// Offset in the file of what is wrong.
    pub offset: u64,
    /// What is wrong.
    pub fault: Fault,
}

/// What can be wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It begins in another way.
    #[error("not a recording of pinscope")]
    NotARecording,
    /// Written in another form.
    #[error("a recording of format {0}; this agent reads {FORMAT_VERSION}")]
    Format(u32),
    /// Samples of another shape.
    #[error("a recording of ABI {0}; this agent reads {ABI_VERSION}")]
    Abi(u32),
    /// It ends in the middle, or without its last block.
    #[error("the recording is cut off")]
    CutOff,
    /// Bytes changed.
    #[error("a block's checksum is wrong")]
    Checksum,
    /// A block with a good checksum that makes no sense.
    #[error("a block {0}")]
    Block(&'static str),
    /// The file cannot be read.
    #[error("cannot read on: {0}")]
    Io(#[from] io::Error),
}

impl<R: Read> Reader<R> {
    /// Reads as far as the head.
    ///
    /// # Errors
    ///
    /// What is wrong with its beginning.
    pub fn new(mut input: R) -> Result<Self, Damage> {
        check_preamble(&mut input).map_err(|fault| Damage { offset: 0, fault })?;
        let mut reader = Self {
            input,
            head: Head {
                kernel: String::new(),
                agent: String::new(),
                started_unix_seconds: 0,
                page_bytes: 0,
                ledger_slots: 0,
                inputs: Inputs {
                    ptes: false,
                    zaps: false,
                },
                hooks: Vec::new(),
            },
            offset: PREAMBLE_BYTES as u64,
            seen: 0,
            ended: false,
            stored: Vec::new(),
            raw: Vec::new(),
            samples: Vec::new(),
        };
        let at = reader.offset;
        reader.head = reader
            .read_head()
            .map_err(|fault| Damage { offset: at, fault })?;
        Ok(reader)
    }

    /// What the recording says of itself.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The next part, or nothing after the last.
    ///
    /// # Errors
    ///
    /// What is wrong, and where; what came before is good.
    pub fn next_chunk(&mut self) -> Result<Option<Chunk<'_>>, Damage> {
        if self.ended {
            return Ok(None);
        }
        let offset = self.offset;
        let damage = |fault| Damage { offset, fault };
        match self.read_block().map_err(damage)? {
            Kind::Head => Err(damage(Fault::Block("is a second head"))),
            Kind::Samples => {
                unpack(&self.raw, &mut self.samples)
                    .ok_or(damage(Fault::Block("of samples has another size")))?;
                self.seen += self.samples.len() as u64;
                Ok(Some(Chunk::Samples(&self.samples)))
            }
            Kind::Losses => {
                let losses = losses(&self.raw);
                let losses = losses.ok_or(damage(Fault::Block("of losses has another size")))?;
                Ok(Some(Chunk::Losses(losses)))
            }
            Kind::End => {
                let count: u64 = bytemuck::try_pod_read_unaligned(&self.raw)
                    .map_err(|_| damage(Fault::Block("at the end has another size")))?;
                if count != self.seen {
                    return Err(damage(Fault::Block("at the end counts other samples")));
                }
                self.end().map_err(damage)?;
                Ok(None)
            }
        }
    }

    fn read_head(&mut self) -> Result<Head, Fault> {
        if self.read_block()? != Kind::Head {
            return Err(Fault::Block("stands where the head should"));
        }
        serde_json::from_slice(&self.raw).map_err(|_| Fault::Block("is no head"))
    }

    /// Reads a block into `raw`, and says its kind.
    fn read_block(&mut self) -> Result<Kind, Fault> {
        let mut header = [0; HEADER_BYTES];
        self.fill(&mut header)?;
        let header = Header::from_bytes(header);
        let (stored, raw) = (header.stored as usize, header.raw as usize);
        let most_stored = lz4_flex::block::get_maximum_output_size(MOST_BLOCK_BYTES);
        if stored > most_stored || raw > MOST_BLOCK_BYTES {
            return Err(Fault::Block("is larger than any can be"));
        }
        let mut buffer = std::mem::take(&mut self.stored);
        buffer.resize(stored, 0);
        let filled = self.fill(&mut buffer);
        self.stored = buffer;
        filled?;
        if header.sum(&self.stored) != header.checksum {
            return Err(Fault::Checksum);
        }
        let kind = Kind::from_number(header.kind).ok_or(Fault::Block("is of an unknown kind"))?;
        self.raw.resize(raw, 0);
        match lz4_flex::block::decompress_into(&self.stored, &mut self.raw) {
            Ok(bytes) if bytes == raw => Ok(kind),
            Ok(_) | Err(_) => Err(Fault::Block("does not unpack to the size it names")),
        }
    }

    fn end(&mut self) -> Result<(), Fault> {
        self.ended = true;
        match self.input.read(&mut [0])? {
            0 => Ok(()),
            _ => Err(Fault::Block("at the end is followed by more")),
        }
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), Fault> {
        fill(&mut self.input, buffer)?;
        self.offset += buffer.len() as u64;
        Ok(())
    }
}

fn check_preamble(input: &mut impl Read) -> Result<(), Fault> {
    let mut preamble = [0; PREAMBLE_BYTES];
    fill(input, &mut preamble)?;
    let [format, abi] = [8, 12].map(|at| {
        let mut number = [0; 4];
        number.copy_from_slice(&preamble[at..at + 4]);
        u32::from_le_bytes(number)
    });
    if preamble[..8] != MAGIC {
        return Err(Fault::NotARecording);
    }
    if format != FORMAT_VERSION {
        return Err(Fault::Format(format));
    }
    if abi != ABI_VERSION {
        return Err(Fault::Abi(abi));
    }
    Ok(())
}

fn fill(input: &mut impl Read, buffer: &mut [u8]) -> Result<(), Fault> {
    input.read_exact(buffer).map_err(|error| {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            Fault::CutOff
        } else {
            Fault::Io(error)
        }
    })
}

/// Without the time, which not every recording has, it is not known.
fn losses(raw: &[u8]) -> Option<Losses> {
    let word = |at: usize| {
        raw.get(at * 8..)?
            .first_chunk()
            .copied()
            .map(u64::from_le_bytes)
    };
    let is_whole = raw.len() == 16 || raw.len() == 24;
    let last = word(2).unwrap_or_default();
    is_whole.then_some(Losses {
        samples: word(0)?,
        pauses: (last >> 32) as u32,
        pages: word(1)?,
        at: last as u32,
    })
}
