//! BTF as the parsers in use know it, made from what newer kernels may have: kinds of types that are
//! not known, more members than were once possible, a longer header, flags.
//!
//! A type that is not known leaves its number to one that tells nothing but its kind, because types
//! go by number. Where no size is told for it, nothing behind it can be read. Leaves out what is in a
//! type.

use std::{collections::BTreeMap, ffi::CStr, ops::Range};

/// `BTF_MAGIC` and `struct btf_header` of the kernel's `include/uapi/linux/btf.h`: two bytes of
/// magic, version, flags, and then words.
const MAGIC: [u8; 2] = 0xeb9f_u16.to_ne_bytes();
const VERSION: u8 = 1;
const HEADER: usize = 24;
/// The same with the place of the layout section.
const HEADER_WITH_LAYOUT: usize = 32;
const RECORD: usize = 12;
/// The last kind that both parsers know (`BTF_KIND_ENUM64`).
const LAST_KNOWN: u32 = 19;
/// The most members that they know. Newer kernels have eight more bits for it.
const MOST_MEMBERS: usize = 0xffff;
/// A forward declaration (`BTF_KIND_FWD`): a name and nothing else.
const FORWARD: u32 = 7 << 24;

/// What the kernel's BTF has that the parsers do not know.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Strange {
    flags: u8,
    /// How many types of each kind, and how many have too many members.
    kinds: BTreeMap<u32, usize>,
    long: usize,
    /// The type that nothing could be read from: its number and its kind.
    end: Option<(usize, u32)>,
}

impl Strange {
    /// In words; nothing where all of it is known.
    pub(crate) fn told(&self) -> Option<String> {
        let mut told = Vec::new();
        if self.flags != 0 {
            told.push(format!("flags {:#x}", self.flags));
        }
        let kinds = self.kinds.iter();
        told.extend(kinds.map(|(kind, types)| format!("{types} types of kind {kind}")));
        if self.long > 0 {
            told.push(format!(
                "{} types of more than {MOST_MEMBERS} members",
                self.long
            ));
        }
        let end = self.end.map(|(id, kind)| {
            format!(
                "type {id} is of kind {kind}, whose size it does not tell: this and all types behind \
                 it are taken as not there"
            )
        });
        let passed = (!told.is_empty()).then(|| format!("passed over: {}", told.join(", ")));
        let told: Vec<_> = passed.into_iter().chain(end).collect();
        (!told.is_empty()).then(|| told.join("; "))
    }

    /// Whether something may be missing for it.
    pub(crate) fn is_cut(&self) -> bool {
        self.end.is_some()
    }
}

/// Why it is no BTF.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoBtf {
    #[error("it does not begin as BTF of this machine does")]
    Magic,
    #[error("it is of version {0}, and known is version {VERSION}")]
    Version(u8),
    #[error("its {0} lies outside of it")]
    Outside(&'static str),
}

/// What is strange in it and, if anything is, the same without.
pub(super) fn plain(btf: &[u8]) -> Result<(Strange, Option<Vec<u8>>), NoBtf> {
    let header = Header::read(btf)?;
    let mut strange = Strange {
        flags: header.flags,
        ..Strange::default()
    };
    let mut types = Vec::new();
    let mut strings = header.strings.to_vec();
    let mut names = BTreeMap::new();
    let mut rest = header.types;
    // Types as they are, to be taken over at once.
    let mut same = header.types;
    let mut id = 1;
    while !rest.is_empty() {
        let record = Record::read(rest).ok_or(NoBtf::Outside("last type"))?;
        let Some(bytes) = record.bytes(header.layout) else {
            strange.end = Some((id, record.kind));
            break;
        };
        let next = rest.get(bytes..).ok_or(NoBtf::Outside("last type"))?;
        if record.is_strange() {
            types.extend(&same[..same.len() - rest.len()]);
            same = next;
            match record.kind {
                ..=LAST_KNOWN => strange.long += 1,
                kind => *strange.kinds.entry(kind).or_default() += 1,
            }
            let name = names.entry(record.kind).or_insert_with(|| {
                let at = strings.len() as u32;
                strings.extend(format!("of_kind_{}\0", record.kind).into_bytes());
                at
            });
            types.extend([*name, FORWARD, 0].into_iter().flat_map(u32::to_ne_bytes));
        }
        rest = next;
        id += 1;
    }
    if strange == Strange::default() {
        return Ok((strange, None));
    }
    types.extend(&same[..same.len() - rest.len()]);
    let words = [HEADER, 0, types.len(), types.len(), strings.len()];
    let mut plain = Vec::with_capacity(HEADER + types.len() + strings.len());
    plain.extend(MAGIC);
    plain.extend([VERSION, 0]);
    plain.extend(words.into_iter().flat_map(|it| (it as u32).to_ne_bytes()));
    plain.extend(types);
    plain.extend(strings);
    Ok((strange, Some(plain)))
}

/// A type of a plain BTF.
pub(super) struct Plain<'a> {
    pub(super) id: u32,
    pub(super) kind: u32,
    name: u32,
    /// What comes after its record.
    rest: &'a [u8],
    strings: &'a [u8],
}

impl<'a> Plain<'a> {
    pub(super) fn name(&self) -> &'a [u8] {
        self.name_at(self.name)
    }

    /// Its members, of so many words each.
    pub(super) fn members<const WORDS: usize>(&self) -> impl Iterator<Item = [u32; WORDS]> {
        let members = self.rest.chunks_exact(WORDS * size_of::<u32>());
        members.map(bytemuck::pod_read_unaligned)
    }

    /// A name by its place.
    pub(super) fn name_at(&self, at: u32) -> &'a [u8] {
        let name = self.strings.get(at as usize..).unwrap_or_default();
        CStr::from_bytes_until_nul(name).map_or(&[], CStr::to_bytes)
    }
}

/// Tells of each type.
pub(super) fn for_each<'a>(btf: &'a [u8], mut tell: impl FnMut(&Plain<'a>)) -> Result<(), NoBtf> {
    let header = Header::read(btf)?;
    let strings = header.strings;
    let mut rest = header.types;
    let mut id = 1;
    while let (Some(record), Some(name)) = (Record::read(rest), word(rest, 0)) {
        let bytes = record.bytes(header.layout);
        let this = bytes.and_then(|it| rest.split_at_checked(it));
        let (this, next) = this.ok_or(NoBtf::Outside("last type"))?;
        tell(&Plain {
            id,
            kind: record.kind,
            name: name as u32,
            rest: &this[RECORD..],
            strings,
        });
        rest = next;
        id += 1;
    }
    Ok(())
}

/// What the header leads to.
struct Header<'a> {
    flags: u8,
    types: &'a [u8],
    strings: &'a [u8],
    /// For each kind what comes after its record: bytes, bytes for each member, and two of flags.
    layout: &'a [u8],
}

impl<'a> Header<'a> {
    fn read(btf: &'a [u8]) -> Result<Self, NoBtf> {
        let [first, second, version, flags, ..] = *btf else {
            return Err(NoBtf::Outside("header"));
        };
        if [first, second] != MAGIC {
            return Err(NoBtf::Magic);
        }
        if version != VERSION {
            return Err(NoBtf::Version(version));
        }
        let field = |at| word(btf, at).ok_or(NoBtf::Outside("header"));
        let bytes = field(4)?;
        let part = |at, name| {
            let range = range(bytes + field(at)?, field(at + 4)?);
            btf.get(range).ok_or(NoBtf::Outside(name))
        };
        Ok(Self {
            flags,
            types: part(8, "types")?,
            strings: part(16, "strings")?,
            layout: match bytes {
                ..HEADER_WITH_LAYOUT => &[],
                _ => part(HEADER, "layout section")?,
            },
        })
    }
}

/// The beginning of a type. Its members may be 24 bits and its kind seven, where there were sixteen
/// and five, whose neighbours were zero.
struct Record {
    kind: u32,
    members: usize,
}

impl Record {
    fn read(types: &[u8]) -> Option<Self> {
        let info = word(types, 4)?;
        Some(Self {
            kind: (info >> 24 & 0x7f) as u32,
            members: info & 0xff_ffff,
        })
    }

    fn is_strange(&self) -> bool {
        self.kind > LAST_KNOWN || (self.members > MOST_MEMBERS && self.has_members())
    }

    fn has_members(&self) -> bool {
        after(self.kind).is_some_and(|(_, member)| member > 0)
    }

    /// All of it; `None` where that is not known.
    fn bytes(&self, layout: &[u8]) -> Option<usize> {
        let told = || {
            let of_kind = layout.chunks_exact(4).nth(self.kind as usize)?;
            Some((usize::from(of_kind[0]), usize::from(of_kind[1])))
        };
        let known = after(self.kind);
        let (once, member) = match self.kind {
            ..=LAST_KNOWN => known,
            _ => told().or(known),
        }?;
        Some(RECORD + once + member * self.members)
    }
}

/// What comes after the record of a kind: bytes, and bytes for each member. The last three kinds are
/// where functions were inlined and what of their arguments is where (linux-next, 2026).
fn after(kind: u32) -> Option<(usize, usize)> {
    Some(match kind {
        1 | 14 | 17 => (4, 0),
        3 => (12, 0),
        4 | 5 | 15 | 19 => (0, 12),
        6 | 13 => (0, 8),
        2 | 7..=12 | 16 | 18 => (0, 0),
        20 => (8, 0),
        21 => (0, 4),
        22 => (0, 16),
        _ => return None,
    })
}

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    let word = bytes.get(range(at, size_of::<u32>()))?;
    Some(u32::from_ne_bytes(word.try_into().ok()?) as usize)
}

fn range(at: usize, length: usize) -> Range<usize> {
    at..at + length
}
