//! The kernel's types, for whoever asks them in the lab. Types of kinds that the parser does not know
//! are passed over where their size is told. It shares nothing with the agent, which has a way of its own.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use btf_rs::Btf;

/// Where the running kernel shows them.
pub const PLACE: &str = "/sys/kernel/btf/vmlinux";

const HEADER: usize = 24;
const RECORD: usize = 12;
/// The last kind that the parser knows (`BTF_KIND_ENUM64`), and the most members.
const LAST_KNOWN: u32 = 19;
const MOST_MEMBERS: usize = 0xffff;
/// `BTF_KIND_FWD`: a name and nothing else.
pub const FORWARD: u32 = 7;

/// The running kernel's.
pub fn kernel() -> Result<Btf> {
    read(Path::new(PLACE))
}

/// Those of a file.
pub fn read(path: &Path) -> Result<Btf> {
    let shown = path.display();
    let bytes =
        fs::read(path).with_context(|| format!("the kernel's types at {shown} cannot be read"))?;
    let known = known(&bytes)
        .with_context(|| format!("{shown} ends too soon, or has a kind of unknown size"))?;
    Btf::from_bytes(&known).with_context(|| format!("{shown} is no BTF"))
}

/// What the header leads to.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// All types, one behind the other.
    pub types: &'a [u8],
    /// Their names.
    pub strings: &'a [u8],
    /// Of each kind how large it is, where that is told.
    pub layout: &'a [u8],
}

/// The parts of a file; `None` if it ends too soon.
#[must_use]
pub fn parts(btf: &[u8]) -> Option<Parts<'_>> {
    let header = word(btf, 4)?;
    let part = |at| {
        btf.get(header + word(btf, at)?..)?
            .get(..word(btf, at + 4)?)
    };
    Some(Parts {
        types: part(8)?,
        strings: part(16)?,
        layout: if header < HEADER + 8 {
            &[]
        } else {
            part(HEADER)?
        },
    })
}

/// One type.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// What it is.
    pub kind: u32,
    /// How many members it has.
    pub members: usize,
    /// All of it.
    pub bytes: &'a [u8],
}

impl<'a> Parts<'a> {
    /// Takes the next type off; `None` if nothing tells where it ends.
    pub fn take(&mut self) -> Option<Record<'a>> {
        let info = word(self.types, 4)?;
        let (kind, members) = ((info >> 24 & 0x7f) as u32, info & 0xff_ffff);
        let (bytes, rest) = self
            .types
            .split_at_checked(RECORD + behind(kind, members, self.layout)?)?;
        self.types = rest;
        Some(Record {
            kind,
            members,
            bytes,
        })
    }
}

/// The same as the parser knows it: each type of another kind is a forward declaration, because types
/// go by number.
fn known(btf: &[u8]) -> Option<Vec<u8>> {
    let mut parts = parts(btf)?;
    let mut types = Vec::new();
    while !parts.types.is_empty() {
        let it = parts.take()?;
        if it.kind > LAST_KNOWN || it.members > MOST_MEMBERS {
            types.extend([0, FORWARD << 24, 0].into_iter().flat_map(u32::to_ne_bytes));
        } else {
            types.extend(it.bytes);
        }
    }
    let mut known = btf.get(..3)?.to_vec();
    known.push(0);
    let words = [HEADER, 0, types.len(), types.len(), parts.strings.len()];
    known.extend(words.into_iter().flat_map(|it| (it as u32).to_ne_bytes()));
    known.extend(types);
    known.extend(parts.strings);
    Some(known)
}

/// Bytes behind the record of a type.
fn behind(kind: u32, members: usize, layout: &[u8]) -> Option<usize> {
    Some(match kind {
        1 | 14 | 17 => 4,
        3 => 12,
        4 | 5 | 15 | 19 => 12 * members,
        6 | 13 => 8 * members,
        2 | 7..=12 | 16 | 18 => 0,
        _ => {
            let told = layout.chunks_exact(4).nth(kind as usize);
            let told = told.map(|it| (usize::from(it[0]), usize::from(it[1])));
            let (once, member) = told.or(match kind {
                20 => Some((8, 0)),
                21 => Some((0, 4)),
                22 => Some((0, 16)),
                _ => None,
            })?;
            once + member * members
        }
    })
}

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    let word = bytes.get(at..at + 4)?;
    Some(u32::from_ne_bytes(word.try_into().ok()?) as usize)
}

#[cfg(test)]
mod tests {
    use btf_rs::Type;

    use super::*;

    /// A type of another kind, which has four bytes once and four for each of two members, and behind
    /// it a structure.
    fn made(kind: u32, layout: &[u8], unknown: usize) -> Vec<u8> {
        let mut types: Vec<u32> = vec![1, kind << 24 | 2, 0];
        types.extend(vec![7; unknown / 4]);
        types.extend([1, 4 << 24, 8]);
        let strings = b"\0page\0";
        let bytes = 4 * types.len();
        let words = [
            HEADER + 8,
            0,
            bytes,
            bytes,
            strings.len(),
            bytes + strings.len(),
            layout.len(),
        ];
        let mut btf = 0xeb9f_u16.to_ne_bytes().to_vec();
        btf.extend([1, 4]);
        btf.extend(words.into_iter().flat_map(|it| (it as u32).to_ne_bytes()));
        btf.extend(types.into_iter().flat_map(u32::to_ne_bytes));
        btf.extend(strings);
        btf.extend(layout);
        btf
    }

    fn check(btf: &[u8]) {
        let types = Btf::from_bytes(&known(btf).unwrap()).unwrap();
        let found = types.resolve_types_by_name("page").unwrap();
        assert!(
            matches!(&found[..], [Type::Struct(it)] if it.size() == 8),
            "{found:?}"
        );
    }

    #[test]
    fn a_kind_whose_size_is_told_is_passed_over() {
        let mut layout = vec![0; 4 * 26];
        layout[4 * 25..].copy_from_slice(&[4, 4, 0, 0]);
        check(&made(25, &layout, 12));
    }

    #[test]
    fn the_kinds_for_inlined_functions_are_passed_over() {
        for (kind, bytes) in [(20, 8), (21, 8), (22, 32)] {
            check(&made(kind, &[], bytes));
        }
    }

    #[test]
    fn a_kind_whose_size_nothing_tells_is_no_guess() {
        assert_eq!(known(&made(25, &[], 12)), None);
    }
}
