//! The kinds of memory that a workload can have pinned, made ready: every page present.
//! What is done with it is the mode's.

use std::path::Path;

use anyhow::{Result, ensure};

use super::files::{self, WorkFile};
use super::folios::Folios;
use super::huge_pool::{self, GIGANTIC, HugePool};
use super::mapping::Mapping;
use super::memfd;
use lab::{
    absent::absent,
    page::{huge_page_bytes, page_bytes},
};

/// What lies behind the addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// A shared mapping of a file.
    File,
    /// A shared mapping of a file in memory, called `workload`.
    Memfd,
    /// Anonymous pages, each a folio.
    Anon,
    /// Anonymous transparent huge pages.
    Thp,
    /// hugetlb pages, as large.
    Hugetlb,
    /// hugetlb pages of 1 GiB, from the pool that the kernel was booted with.
    Gigantic,
}

/// Memory of one kind and what keeps it there. Fields are dropped in this order.
#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) mapping: Mapping,
    _file: Option<WorkFile>,
    _pool: Option<HugePool>,
}

impl Memory {
    /// At least `bytes` bytes, rounded up to the kind's page size.
    pub(crate) fn make(kind: Kind, dir: &Path, bytes: usize) -> Result<Self> {
        let memory = match kind {
            Kind::File => {
                let file = WorkFile::make(dir, "target", bytes, files::Folios::Large)?;
                let mapping = Mapping::shared(&file.file, bytes)?;
                mapping.touch(mapping.span());
                Self {
                    mapping,
                    _file: Some(file),
                    _pool: None,
                }
            }
            Kind::Memfd => {
                let file = memfd::make(c"workload", bytes)?;
                let mapping = Mapping::shared(&file, bytes)?;
                mapping.dirty(mapping.span(), 1);
                Self {
                    mapping,
                    _file: None,
                    _pool: None,
                }
            }
            Kind::Anon => {
                let mapping = Mapping::anonymous(bytes)?;
                mapping.dirty(mapping.span(), 1);
                Self {
                    mapping,
                    _file: None,
                    _pool: None,
                }
            }
            Kind::Thp => {
                let mapping = Mapping::transparent_huge(bytes.next_multiple_of(huge_page_bytes()))?;
                mapping.dirty(mapping.span(), 1);
                check_huge(&mapping)?;
                Self {
                    mapping,
                    _file: None,
                    _pool: None,
                }
            }
            Kind::Hugetlb => {
                let bytes = bytes.next_multiple_of(huge_page_bytes());
                let pool = HugePool::reserve(bytes / huge_page_bytes())?;
                let mapping = Mapping::hugetlb(bytes)?;
                mapping.dirty(mapping.span(), 1);
                check_huge(&mapping)?;
                Self {
                    mapping,
                    _file: None,
                    _pool: Some(pool),
                }
            }
            Kind::Gigantic => {
                if huge_pool::free_gigantic() < bytes.div_ceil(GIGANTIC) {
                    return Err(absent("the kernel has no huge pages of 1 GiB in its pool"));
                }
                let mapping = Mapping::gigantic(bytes.next_multiple_of(GIGANTIC))?;
                mapping.dirty(mapping.span(), 1);
                Self {
                    mapping,
                    _file: None,
                    _pool: None,
                }
            }
        };
        Ok(memory)
    }
}

fn check_huge(mapping: &Mapping) -> Result<()> {
    let span = mapping.span();
    let folios = Folios::behind(span)?.number();
    ensure!(
        folios == (span.length / huge_page_bytes()) as u64,
        "{} pages came as {folios} folios, not as huge pages (is /sys/kernel/mm/transparent_hugepage/enabled set to never?)",
        span.length / page_bytes()
    );
    Ok(())
}
