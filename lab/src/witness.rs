//! The second witness: how much is pinned, by a look at every `struct page` of the machine through
//! `/proc/kcore`. It shares nothing with the agent, neither code nor eBPF, and believes no counter.

pub mod kcore;
pub mod layout;
pub mod page;
pub mod vmemmap;
pub mod zones;

use std::collections::BTreeSet;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use memmap2::{Advice, MmapMut};
use serde::Serialize;

use crate::{btf, page::huge_page_bytes};
use kcore::Kcore;
use layout::Layout;
use page::{Seen, look};

/// Pages looked at in one go. A multiple of the next, so that the first page of a folio never comes
/// without those that hold its counts.
const AT_ONCE: u64 = 1024;

/// Pages looked at first: what is larger, such as a free block, is stepped over before the rest is read.
const FIRST: u64 = 64;

/// Looks at pages that hold pins or are in motion, the first included.
const LOOKS: u32 = 5;

/// Between two counts that are to agree.
const BETWEEN: Duration = Duration::from_millis(20);

/// Knows how to read this kernel's pages.
#[derive(Debug)]
pub struct Witness {
    layout: Layout,
    base: u64,
}

/// A folio that is pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Pinned {
    /// The frame of its first page.
    pub pfn: u64,
    /// Its pages.
    pub pages: u64,
    /// The pins on it.
    pub pins: u64,
}

/// A folio with references that nothing explains: more than 512 of them count as a pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Stray {
    /// The frame of its first page.
    pub pfn: u64,
    /// How many they are beyond its pins; negative if references are missing.
    pub references: i64,
}

/// What a look found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// All folios that are pinned, by frame.
    pub pinned: Vec<Pinned>,
    /// Folios that changed as often as they were looked at.
    pub moving: u64,
    /// Folios with many references that are neither pins nor anything else that is known, and how many.
    pub stray: Vec<Stray>,
    /// How many pages there are.
    pub looked_at: u64,
}

/// All of it in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Pins, as the kernel counts them.
    pub pins: u64,
    /// Folios with a pin or more.
    pub folios: u64,
    /// Of them, those of more than one page.
    pub large_folios: u64,
    /// The memory of those folios, each once.
    pub bytes: u64,
    /// Blocks of the size of a huge page, with a pin on a smaller folio in each.
    pub spoiled_blocks: u64,
}

impl Witness {
    /// Learns from the kernel where its pages are, and proves it on a page of its own.
    pub fn new() -> Result<Self> {
        let kcore = Kcore::open()?;
        let layout = Layout::read(Path::new(btf::PLACE), &kcore)?;
        let base = vmemmap::base(&kcore.ranges, page_bytes(), layout.page as u64).context(
            "/proc/kcore shows no array of struct page: a kernel without SPARSEMEM_VMEMMAP",
        )?;
        let witness = Self { layout, base };
        witness.prove(&kcore)?;
        Ok(witness)
    }

    /// Looks at every page once, and again at those that hold pins or are in motion.
    pub fn look(&self) -> Result<Found> {
        let kcore = Kcore::open()?;
        let mut found = Found::default();
        for span in zones::read()? {
            self.look_at(&kcore, &span, &mut found)?;
        }
        Ok(found)
    }

    /// The count once two in a row are the same and nothing moves.
    pub fn settled(&self, patience: Duration) -> Result<Found> {
        let deadline = Instant::now() + patience;
        let mut before = self.look()?;
        loop {
            std::thread::sleep(BETWEEN);
            let now = self.look()?;
            if now.moving == 0 && now.count() == before.count() {
                return Ok(now);
            }
            if Instant::now() >= deadline {
                bail!(
                    "no two counts agreed within {patience:?}: {:?}, then {:?} with {} folios in motion",
                    before.count(),
                    now.count(),
                    now.moving
                );
            }
            before = now;
        }
    }

    fn look_at(&self, kcore: &Kcore, span: &Range<u64>, found: &mut Found) -> Result<()> {
        let size = self.layout.page as u64;
        let (start, end) = (self.base + span.start * size, self.base + span.end * size);
        let parts = kcore.ranges.iter().filter(|it| it.physical.is_none());
        for part in parts.filter(|it| it.address < end && start < it.end()) {
            let first = (part.address.max(start) - self.base).div_ceil(size);
            let behind = (part.end().min(end) - self.base) / size;
            let mut next = first;
            while next < behind {
                let up_to = |pages: u64| next..behind.min((next / pages + 1) * pages);
                let some = up_to(FIRST);
                let bytes = self.read(kcore, part, &some)?;
                let is_large = next + look(&self.layout, next, &bytes).pages > some.end;
                let some = if is_large { some } else { up_to(AT_ONCE) };
                next = self.look_at_some(kcore, part, &some, found)?;
            }
            found.looked_at += behind - first;
        }
        Ok(())
    }

    /// Looks again and again until twice the same was seen. Says which page comes next.
    fn look_at_some(
        &self,
        kcore: &Kcore,
        part: &kcore::Range,
        pages: &Range<u64>,
        found: &mut Found,
    ) -> Result<u64> {
        let seen = || Ok::<_, anyhow::Error>(self.seen(pages, &self.read(kcore, part, pages)?));
        let (mut folios, mut next) = seen()?;
        if folios.is_empty() {
            return Ok(next);
        }
        let mut moving = 0;
        for _again in 1..LOOKS {
            let before = folios;
            (folios, next) = seen()?;
            moving = folios.iter().filter(|it| !before.contains(it)).count();
            if folios == before {
                break;
            }
        }
        found.moving += moving as u64;
        for (pfn, folio) in folios {
            if folio.pins > 0 {
                found.pinned.push(Pinned {
                    pfn,
                    pages: folio.pages,
                    pins: folio.pins,
                });
            }
            if folio.stray != 0 {
                found.stray.push(Stray {
                    pfn,
                    references: folio.stray,
                });
            }
        }
        Ok(next)
    }

    /// Those that are pinned or have stray references, and the page behind the last of all.
    fn seen(&self, pages: &Range<u64>, bytes: &[u8]) -> (Vec<(u64, Seen)>, u64) {
        let mut folios = Vec::new();
        let mut pfn = pages.start;
        while pfn < pages.end {
            let at = (pfn - pages.start) as usize * self.layout.page;
            let seen = look(&self.layout, pfn, &bytes[at..]);
            if seen.pins > 0 || seen.stray != 0 {
                folios.push((pfn, seen));
            }
            pfn += seen.pages;
        }
        (folios, pfn)
    }

    fn read(&self, kcore: &Kcore, part: &kcore::Range, pages: &Range<u64>) -> Result<Vec<u8>> {
        let size = self.layout.page as u64;
        let mut bytes = vec![0; ((pages.end - pages.start) * size) as usize];
        kcore.read(part, self.base + pages.start * size, &mut bytes)?;
        Ok(bytes)
    }

    /// A page of this process must look like one.
    fn prove(&self, kcore: &Kcore) -> Result<()> {
        let size = page_bytes();
        let mut own = MmapMut::map_anon(size as usize)?;
        // Refused where there are no others.
        let _no_larger_pages = own.advise(Advice::NoHugePage);
        own[0] = 1;
        let pfn = frame_of(own.as_ptr() as u64)?;
        let mut bytes = vec![0; self.layout.page];
        let address = self.base + pfn * self.layout.page as u64;
        let part = kcore
            .ranges
            .iter()
            .find(|it| it.physical.is_none() && (it.address..it.end()).contains(&address))
            .with_context(|| format!("/proc/kcore has nothing at {address:#x}"))?;
        kcore.read(part, address, &mut bytes)?;
        let word = |at: usize| bytes[at..at + 8].try_into().map(u64::from_ne_bytes);
        let int = |at: usize| bytes[at..at + 4].try_into().map(i32::from_ne_bytes);
        let (mapping, mapcount) = (word(self.layout.mapping)?, int(self.layout.mapcount)?);
        let (refcount, tail) = (int(self.layout.refcount)?, word(self.layout.tail)?);
        ensure!(
            mapping & 3 == 1 && mapcount == 0 && refcount >= 1 && tail & 1 == 0,
            "the struct page of frame {pfn} is not at {address:#x}: what is there has mapping {mapping:#x}, \
             mapcount {mapcount} and reference count {refcount}"
        );
        Ok(())
    }
}

impl Found {
    /// Added up.
    #[must_use]
    pub fn count(&self) -> Count {
        let mut count = Count::default();
        for folio in &self.pinned {
            count.pins += folio.pins;
            count.folios += 1;
            count.large_folios += u64::from(folio.pages > 1);
            count.bytes += folio.pages * page_bytes();
        }
        let frames = huge_page_bytes() as u64 / page_bytes();
        let small = self.pinned.iter().filter(|it| it.pages < frames);
        let blocks: BTreeSet<_> = small.map(|it| it.pfn / frames).collect();
        count.spoiled_blocks = blocks.len() as u64;
        count
    }
}

fn page_bytes() -> u64 {
    rustix::param::page_size() as u64
}

/// The frame behind an address of this process.
fn frame_of(address: u64) -> Result<u64> {
    const FRAME: u64 = (1 << 55) - 1;
    let pagemap =
        File::open("/proc/self/pagemap").context("/proc/self/pagemap cannot be opened")?;
    let mut entry = [0; 8];
    pagemap
        .read_exact_at(&mut entry, address / page_bytes() * 8)
        .context("/proc/self/pagemap cannot be read")?;
    let frame = u64::from_ne_bytes(entry) & FRAME;
    ensure!(
        frame != 0,
        "/proc/self/pagemap hides frames: root is needed"
    );
    Ok(frame)
}
