//! Folios that are pinned, as many as are remembered one by one: for names that are only known
//! when all of them are.

use std::collections::HashMap;

use probe_abi::Counted;

/// Folios that are remembered, at most: 128 MiB of them. Of what is beyond, the sums are right and
/// the names are not known.
const MOST: usize = 1 << 22;

/// Mappings that are told apart, at most.
const MOST_MAPPINGS: usize = 1 << 16;

/// A folio that is pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Folio {
    pub(super) pfn: u64,
    pub(super) pages: u32,
    pub(super) pins: u32,
    /// The mapping's number in [`Found`], or [`UNKNOWN`].
    pub(super) mapping: u32,
    pub(super) memcg: u32,
    /// Which processes map it: the number of a set in `mappers`; 0 is nobody.
    pub(super) mappers: u32,
    /// Whether nothing maps it; `None` where the kernel does not say.
    pub(super) is_unmapped: Option<bool>,
    pub(super) is_hugetlb: bool,
}

/// In the place of a number.
pub(super) const UNKNOWN: u32 = u32::MAX;

/// All of them, in the order of their frames.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) folios: Vec<Folio>,
    pub(super) mappings: Words,
    pub(super) memcgs: Words,
    /// Key of a folio of each mapping.
    pub(super) keys: HashMap<u64, u64>,
}

/// Words by number.
#[derive(Debug, Default)]
pub(super) struct Words {
    words: Vec<u64>,
    numbers: HashMap<u64, u32>,
}

impl Words {
    fn number(&mut self, word: u64) -> u32 {
        if let Some(number) = self.numbers.get(&word) {
            return *number;
        }
        if self.words.len() >= MOST_MAPPINGS {
            return UNKNOWN;
        }
        let number = self.words.len() as u32;
        self.words.push(word);
        self.numbers.insert(word, number);
        number
    }

    /// The word of a number.
    pub(super) fn word(&self, number: u32) -> Option<u64> {
        self.words.get(number as usize).copied()
    }

    /// All of them.
    pub(super) fn all(&self) -> &[u64] {
        &self.words
    }
}

impl Found {
    /// The folio, which is remembered if there is room.
    pub(super) fn add(&mut self, counted: &Counted, pins: u64, is_hugetlb: bool) -> Folio {
        const NOT_KNOWN: u32 = u32::MAX;
        const ANONYMOUS: u64 = 1;
        let folio = counted.folio;
        // Anonymous memory has a structure for each process and more: none is asked for.
        let mapping = match folio.mapping & ANONYMOUS {
            0 => folio.mapping,
            _ => ANONYMOUS,
        };
        let new = Folio {
            pfn: counted.pfn,
            pages: folio.pages.max(1),
            pins: u32::try_from(pins).unwrap_or(u32::MAX),
            mapping: self.mappings.number(mapping),
            memcg: self.memcgs.number(counted.memcg),
            mappers: 0,
            is_unmapped: (folio.mapcount != NOT_KNOWN).then_some(folio.mapcount == 0),
            is_hugetlb,
        };
        if self.mappings.word(new.mapping).is_some() {
            self.keys.insert(mapping, folio.key);
        }
        if self.folios.len() < MOST {
            self.folios.push(new);
        }
        new
    }
}
