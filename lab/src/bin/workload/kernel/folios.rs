//! Which folios lie behind a mapping and which of them are dirty, from `/proc/self/pagemap`
//! and `/proc/kpageflags`: an answer that is independent of every probe. It needs root.

use std::fs::File;
use std::os::unix::fs::FileExt;

use anyhow::{Context, Result, bail, ensure};

use super::mapping::Span;
use lab::page::page_bytes;

/// Bits of `/proc/kpageflags`; see `include/uapi/linux/kernel-page-flags.h`.
const DIRTY: u64 = 1 << 4;
const COMPOUND_TAIL: u64 = 1 << 16;
/// Bits of `/proc/self/pagemap`; see `Documentation/admin-guide/mm/pagemap.rst`.
const PRESENT: u64 = 1 << 63;
const FRAME: u64 = (1 << 55) - 1;

/// The folios behind a range of mapped, touched memory. They stay the same for as
/// long as the range is pinned; without a pin the kernel may move them.
#[derive(Debug)]
pub(crate) struct Folios {
    heads: Vec<u64>,
    flags: File,
}

impl Folios {
    /// Looks up every page of `span`, which must be present.
    pub(crate) fn behind(span: Span) -> Result<Self> {
        let pagemap = File::open("/proc/self/pagemap").context("/proc/self/pagemap")?;
        let flags = File::open("/proc/kpageflags").context("/proc/kpageflags (are you root?)")?;
        let mut heads = Vec::new();
        // Frame and head of the page before: a huge page is looked back through once.
        let mut before = (0, 0);
        for page in 0..span.pages() {
            let entry = present(&pagemap, span.address + page * page_bytes())?;
            let frame = entry & FRAME;
            ensure!(
                frame != 0,
                "/proc/self/pagemap hides frame numbers (are you root?)"
            );
            let follows = frame == before.0 + 1 && word(&flags, frame)? & COMPOUND_TAIL != 0;
            let head = if follows {
                before.1
            } else {
                head_of(&flags, frame)?
            };
            before = (frame, head);
            if heads.last() != Some(&head) {
                heads.push(head);
            }
        }
        heads.sort_unstable();
        heads.dedup();
        Ok(Self { heads, flags })
    }

    /// How many there are.
    pub(crate) fn number(&self) -> u64 {
        self.heads.len() as u64
    }

    /// How many of them are dirty at this moment.
    pub(crate) fn dirty(&self) -> Result<u64> {
        let mut dirty = 0;
        for head in &self.heads {
            if word(&self.flags, *head)? & DIRTY != 0 {
                dirty += 1;
            }
        }
        Ok(dirty)
    }
}

/// A folio's flags are on its first page.
fn head_of(flags: &File, frame: u64) -> Result<u64> {
    let mut head = frame;
    while word(flags, head)? & COMPOUND_TAIL != 0 {
        head -= 1;
    }
    Ok(head)
}

/// The entry of a present page. The kernel takes a page out for a moment when it moves it
/// elsewhere: then it is touched, which waits until it is back.
fn present(pagemap: &File, address: usize) -> Result<u64> {
    const TOUCHES: u32 = 100;
    for _ in 0..TOUCHES {
        let entry = word(pagemap, (address / page_bytes()) as u64)?;
        if entry & PRESENT != 0 {
            return Ok(entry);
        }
        // SAFETY: inside the span, which is mapped and readable.
        unsafe { (address as *const u8).read_volatile() };
    }
    bail!("the page at {address:#x} is not present, however often it is touched")
}

fn word(table: &File, index: u64) -> Result<u64> {
    let mut bytes = [0; 8];
    table
        .read_exact_at(&mut bytes, index * 8)
        .context("a page's entry cannot be read")?;
    Ok(u64::from_ne_bytes(bytes))
}
