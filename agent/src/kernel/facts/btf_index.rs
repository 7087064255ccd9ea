//! Where in BTF a name is: of a hundred thousand types some two hundred are asked for, and the rest is
//! gone through once, without a copy of a name. Leaves out what a type is.

use std::{collections::HashMap, hash::BuildHasher as _};

use foldhash::fast::RandomState;
use hooks::ENUMERATORS;

use super::plain_btf::{NoBtf, Plain, for_each};

/// Numbers of types by name, and enumerators.
#[derive(Default)]
pub(super) struct Index {
    hasher: RandomState,
    /// Functions, structures and unions: a hash of the name, and the number; in order.
    named: Vec<(u64, u32)>,
    /// Those that are asked for.
    enumerators: HashMap<&'static str, u64>,
}

impl Index {
    /// Of a plain BTF.
    pub(super) fn of(btf: &[u8]) -> Result<Self, NoBtf> {
        let mut this = Self::default();
        let wanted: HashMap<_, _, RandomState> =
            ENUMERATORS.iter().map(|it| (it.as_bytes(), *it)).collect();
        for_each(btf, |it| match it.kind {
            kind::STRUCT | kind::UNION | kind::FUNC => {
                let name = it.name();
                if !name.is_empty() {
                    this.named.push((this.hasher.hash_one(name), it.id));
                }
            }
            // Many are in anonymous enumerations, which cannot be asked for by name.
            kind::ENUM => this.add_enumerators::<2>(it, &wanted),
            kind::ENUM64 => this.add_enumerators::<3>(it, &wanted),
            _ => {}
        })?;
        this.named.sort_unstable();
        Ok(this)
    }

    /// Each is its name, the value's low word and, if there is a third, its high one.
    fn add_enumerators<const WORDS: usize>(
        &mut self,
        enumeration: &Plain<'_>,
        wanted: &HashMap<&[u8], &'static str, RandomState>,
    ) {
        for member in enumeration.members::<WORDS>() {
            if let Some(name) = wanted.get(enumeration.name_at(member[0])) {
                let high = member.get(2).copied().unwrap_or(0);
                let value = u64::from(member[1]) | u64::from(high) << 32;
                self.enumerators.insert(name, value);
            }
        }
    }

    /// Types that may be of this name, in their order.
    pub(super) fn ids(&self, name: &str) -> impl Iterator<Item = u32> {
        let hash = self.hasher.hash_one(name.as_bytes());
        let first = self.named.partition_point(|it| it.0 < hash);
        let same = self.named[first..]
            .iter()
            .take_while(move |it| it.0 == hash);
        same.map(|it| it.1)
    }

    pub(super) fn enumerator(&self, name: &str) -> Option<u64> {
        self.enumerators.get(name).copied()
    }
}

/// Kinds of types (`BTF_KIND_*` of the kernel's `include/uapi/linux/btf.h`).
mod kind {
    pub(super) const STRUCT: u32 = 4;
    pub(super) const UNION: u32 = 5;
    pub(super) const ENUM: u32 = 6;
    pub(super) const FUNC: u32 = 12;
    pub(super) const ENUM64: u32 = 19;
}
