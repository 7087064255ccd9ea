//! Where a `struct page` has what a count of pins needs, from the running kernel's BTF. It reads no page.

use std::path::Path;

use anyhow::{Context, Result};
use btf_rs::{Btf, Struct, Type};

use super::kcore::Kcore;
use crate::btf;

/// Anonymous unions and structures nest; deeper than this is no kernel's.
const MOST_NESTED: u32 = 8;

/// Byte offsets from a folio's first page, and flags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Bytes of a `struct page`.
    pub page: usize,
    /// Flags of the page.
    pub flags: usize,
    /// The word whose lowest bit says that the page is a folio's, and not its first.
    pub tail: usize,
    /// Whose memory it is: a file's, or with a bit set something else's.
    pub mapping: usize,
    /// Of a free block the order.
    pub private: usize,
    /// The mapcount less one, or a type.
    pub mapcount: usize,
    /// The reference count.
    pub refcount: usize,
    /// The byte that holds a large folio's order.
    pub order: usize,
    /// A large folio's count of pins.
    pub pincount: usize,
    /// From this order on it has one.
    pub counted_from_order: u8,
    /// Type of a hugetlb folio's first page, where those have one: what stands in the highest byte of
    /// the mapcount.
    pub hugetlb: Option<i32>,
    /// What stands for the mapcount of a free block's first page.
    pub free: Option<i32>,
    /// Flags by name.
    pub bits: Bits,
}

/// Masks of flags; one that the kernel does not know is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bits {
    /// The first page of a large folio.
    pub head: u64,
    /// Of the slab allocator, where that is no type.
    pub slab: u64,
    /// On a list of pages to be reclaimed, as a file's is that was cut off from it while pinned; or
    /// reserved, as the page of zeros is.
    pub of_users: u64,
    /// Either of the two for private data.
    pub private: u64,
    /// In the swap cache, if `swapbacked` as well.
    pub swapcache: u64,
    /// Swapped rather than written back to a file.
    pub swapbacked: u64,
}

impl Layout {
    /// From the BTF at `path`, and from the kernel's note for crash dumps, which knows constants that
    /// BTF does not.
    pub fn read(path: &Path, kcore: &Kcore) -> Result<Self> {
        let types = Types {
            btf: btf::read(path)?,
        };
        let page = types.structure("page")?;
        let size = page.size();
        let in_page = |name: &str| types.offset(&page, name);
        let needed = |name: &str| {
            in_page(name)?.with_context(|| format!("struct page has no {name} on this kernel"))
        };
        let folio = types.structure("folio").ok();
        let in_folio = |name: &str| match &folio {
            Some(folio) => types.offset(folio, name),
            None => Ok(None),
        };
        let tail = match in_page("compound_head")? {
            Some(at) => at,
            None => needed("compound_info")?,
        };
        // In the second page: a byte of its own, or later the lowest of its flags.
        let order = match in_page("compound_order")? {
            Some(at) => size + at,
            None => in_folio("_flags_1")?.context("a folio's order is nowhere on this kernel")?,
        };
        // Kernels without folios count in the third page, which those of two pages do not have.
        let (pincount, counted_from_order) = match in_folio("_pincount")? {
            Some(at) => (at, 1),
            None => (2 * size + needed("hpage_pinned_refcount")?, 2),
        };
        let typed = |name| kcore.number(&format!("PAGE_{name}_MAPCOUNT_VALUE"));
        let typed = |name| typed(name).map(|it| it as i32);
        Ok(Self {
            page: size,
            flags: needed("flags")?,
            tail,
            mapping: needed("mapping")?,
            private: needed("private")?,
            mapcount: needed("_mapcount")?,
            refcount: needed("_refcount")?,
            order,
            pincount,
            counted_from_order,
            hugetlb: typed("HUGETLB").map(|it| it >> 24),
            free: typed("BUDDY"),
            bits: types.bits()?,
        })
    }
}

struct Types {
    btf: Btf,
}

impl Types {
    fn structure(&self, name: &str) -> Result<Struct> {
        let found = self.btf.resolve_types_by_name(name).unwrap_or_default();
        let mut found = found.into_iter().filter_map(|it| match it {
            Type::Struct(it) => Some(it),
            _ => None,
        });
        found
            .next()
            .with_context(|| format!("this kernel has no struct {name}"))
    }

    /// Bytes to a member, looked for inside members without a name, too.
    fn offset(&self, structure: &Struct, name: &str) -> Result<Option<usize>> {
        let bits = self.bits_to(structure, name, MOST_NESTED)?;
        Ok(bits.map(|bits| bits as usize / 8))
    }

    fn bits_to(&self, structure: &Struct, name: &str, deeper: u32) -> Result<Option<u32>> {
        for member in &structure.members {
            let found = self.btf.resolve_name(member).unwrap_or_default();
            if found == name {
                return Ok(Some(member.bit_offset()));
            }
            if !found.is_empty() || deeper == 0 {
                continue;
            }
            let inner = match self.btf.resolve_chained_type(member)? {
                Type::Struct(inner) | Type::Union(inner) => inner,
                _ => continue,
            };
            if let Some(bits) = self.bits_to(&inner, name, deeper - 1)? {
                return Ok(Some(member.bit_offset() + bits));
            }
        }
        Ok(None)
    }

    fn bits(&self) -> Result<Bits> {
        let found = self.btf.resolve_types_by_name("pageflags")?;
        let numbers = found.into_iter().find_map(|it| match it {
            Type::Enum(it) => Some(it),
            _ => None,
        });
        let numbers = numbers.context("this kernel has no enum pageflags")?;
        let bit = |name: &str| {
            let number = numbers
                .members
                .iter()
                .find(|it| self.btf.resolve_name(*it).is_ok_and(|found| found == name));
            number.map_or(0, |it| 1 << it.val())
        };
        Ok(Bits {
            head: bit("PG_head"),
            slab: bit("PG_slab"),
            of_users: bit("PG_lru") | bit("PG_reserved"),
            private: bit("PG_private") | bit("PG_private_2"),
            swapcache: bit("PG_swapcache"),
            swapbacked: bit("PG_swapbacked"),
        })
    }
}
