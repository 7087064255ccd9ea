//! The kernel's types as aya is given them: it looks through all of them for each program that is
//! loaded. Of those that nobody asks for only the place is left, because types go by number.

use aya::{Btf, Endianness};
use aya_obj::btf::{BtfError, BtfKind};
use hooks::Facts;

use crate::{error::AgentError, kernel::facts::KernelBtf};

/// What calls of `bpf_rdonly_cast()` need.
pub(super) const CAST: &str = "bpf_rdonly_cast";
pub(super) const PAGE: &str = "page";

/// `BTF_MAGIC` and `struct btf_header` of the kernel's `include/uapi/linux/btf.h`.
const MAGIC: u16 = 0xeb9f;
const VERSION: u8 = 1;
const FLAGS: u8 = 0;
const HEADER_BYTES: u32 = 24;

/// The functions of the facts, and what a call needs.
pub(crate) fn outline(types: &KernelBtf, facts: &Facts) -> Result<Btf, AgentError> {
    let functions = facts.functions.keys().map(String::as_str).chain([CAST]);
    let mut kept: Vec<_> = functions
        .filter_map(|it| Some((types.function_id(it)?, BtfKind::Func, it)))
        .collect();
    kept.extend(
        types
            .structure_id(PAGE)
            .map(|id| (id, BtfKind::Struct, PAGE)),
    );
    of(kept).map_err(|it| AgentError::NotTraceable(format!("its types cannot be used: {it}")))
}

fn of(mut kept: Vec<(u32, BtfKind, &str)>) -> Result<Btf, BtfError> {
    kept.sort_unstable_by_key(|it| it.0);
    let mut strings = vec![0];
    let mut records = Vec::new();
    let mut next = 1;
    for (id, kind, name) in kept {
        for _ in next..id {
            records.extend(record(0, BtfKind::Fwd));
        }
        records.extend(record(strings.len() as u32, kind));
        strings.extend(name.bytes().chain([0]));
        next = id + 1;
    }
    let types = (size_of::<u32>() * records.len()) as u32;
    let words = [HEADER_BYTES, 0, types, types, strings.len() as u32];
    let mut outline = Vec::new();
    outline.extend(MAGIC.to_ne_bytes());
    outline.extend([VERSION, FLAGS]);
    outline.extend(words.into_iter().flat_map(u32::to_ne_bytes));
    outline.extend(records.into_iter().flat_map(u32::to_ne_bytes));
    outline.extend(strings);
    Btf::parse(&outline, Endianness::default())
}

/// `struct btf_type`: a name, a kind, and neither members nor a type.
fn record(name: u32, kind: BtfKind) -> [u32; 3] {
    [name, (kind as u32) << 24, 0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_that_are_kept_have_their_numbers() {
        let outline = of(vec![
            (40_000, BtfKind::Func, "pin_user_pages"),
            (7, BtfKind::Struct, PAGE),
            (1, BtfKind::Func, CAST),
        ])
        .unwrap();
        let id = |name, kind| outline.id_by_type_name_kind(name, kind).ok();
        assert_eq!(id("pin_user_pages", BtfKind::Func), Some(40_000));
        assert_eq!(id(PAGE, BtfKind::Struct), Some(7));
        assert_eq!(id(CAST, BtfKind::Func), Some(1));
        assert_eq!(id("unpin_user_pages", BtfKind::Func), None);
    }
}
