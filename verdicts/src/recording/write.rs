//! Writing a recording, a block at a time.

use std::io::{self, Write};

use probe_abi::MkcleanSample;

use super::{
    block::{Header, Kind, pack},
    head::{BLOCK_SAMPLES, Head, preamble},
};
use crate::judge::Losses;

/// A recording under way. Without [`Self::finish`] it reads as cut off.
#[derive(Debug)]
pub struct Writer<W: Write> {
    out: W,
    pending: Vec<MkcleanSample>,
    packed: Vec<u8>,
    written: u64,
}

impl<W: Write> Writer<W> {
    /// Begins a recording.
    pub fn new(mut out: W, head: &Head) -> io::Result<Self> {
        out.write_all(&preamble())?;
        let mut writer = Self {
            out,
            pending: Vec::with_capacity(BLOCK_SAMPLES),
            packed: Vec::new(),
            written: 0,
        };
        let json = serde_json::to_vec(head).map_err(io::Error::other)?;
        writer.block(Kind::Head, &json)?;
        Ok(writer)
    }

    /// Adds a sample.
    pub fn sample(&mut self, sample: &MkcleanSample) -> io::Result<()> {
        self.pending.push(*sample);
        if self.pending.len() == BLOCK_SAMPLES {
            self.flush_samples()?;
        }
        Ok(())
    }

    /// Adds what was lost so far; it counts for the samples that follow.
    pub fn losses(&mut self, losses: Losses) -> io::Result<()> {
        self.flush_samples()?;
        let at = u64::from(losses.pauses) << 32 | u64::from(losses.at);
        let words = [losses.samples, losses.pages, at];
        let raw: [u8; 24] = bytemuck::cast(words.map(u64::to_le));
        self.block(Kind::Losses, &raw)
    }

    /// Ends the recording.
    pub fn finish(mut self) -> io::Result<W> {
        self.flush_samples()?;
        let count = self.written.to_le_bytes();
        self.block(Kind::End, &count)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn flush_samples(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        pack(&self.pending, &mut self.packed);
        self.written += self.pending.len() as u64;
        self.pending.clear();
        let packed = std::mem::take(&mut self.packed);
        let written = self.block(Kind::Samples, &packed);
        self.packed = packed;
        written
    }

    fn block(&mut self, kind: Kind, raw: &[u8]) -> io::Result<()> {
        let stored = lz4_flex::block::compress(raw);
        let mut header = Header {
            kind: kind.number(),
            stored: stored.len() as u32,
            raw: raw.len() as u32,
            checksum: 0,
        };
        header.checksum = header.sum(&stored);
        self.out.write_all(&header.to_bytes())?;
        self.out.write_all(&stored)
    }
}
