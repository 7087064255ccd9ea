//! BTF as newer kernels have it, read by all who read it here.

use std::io::Write as _;

use aya_obj::btf::BtfKind;
use hooks::{Facts, Function};
use tempfile::NamedTempFile;

use super::*;
use crate::kernel::{attach, facts::plain_btf::NoBtf};

/// Kinds that no kernel has. The low five bits of the second are those of an integer.
const NEW: u32 = 25;
const WIDE: u32 = 33;

/// Bytes after a type of a new kind, and bytes for each member.
const ONCE: u8 = 8;
const EACH: u8 = 4;

const PAGE: u32 = 3;
const PIN: u32 = 8;

struct Made {
    types: Vec<u32>,
    strings: Vec<u8>,
    types_so_far: u32,
    layout: Vec<u8>,
    flags: u8,
}

impl Made {
    fn new() -> Self {
        Self {
            types: Vec::new(),
            strings: vec![0],
            types_so_far: 0,
            layout: Vec::new(),
            flags: 0,
        }
    }

    fn string(&mut self, name: &str) -> u32 {
        let at = self.strings.len() as u32;
        self.strings.extend(name.bytes().chain([0]));
        at
    }

    /// The number of the new type.
    fn add(&mut self, name: &str, (kind, members): (u32, u32), last: u32, rest: &[u32]) -> u32 {
        let name = match name {
            "" => 0,
            name => self.string(name),
        };
        self.types.extend([name, kind << 24 | members, last]);
        self.types.extend(rest);
        self.types_so_far += 1;
        self.types_so_far
    }

    /// `struct page { int refs; }` and `int pin(struct page *, int)`, with `between` before the
    /// page and among what the function takes.
    fn with(mut self, between: impl Fn(&mut Self, u32) -> u32) -> Self {
        let int = self.add("int", (1, 0), 4, &[32]);
        between(&mut self, int);
        let refs = self.string("refs");
        let page = self.add("page", (4, 1), 4, &[refs, int, 0]);
        let tagged = self.add("user", (18, 0), page, &[]);
        let pointer = self.add("", (2, 0), tagged, &[]);
        let other = between(&mut self, int);
        let pin = self.add("", (13, 3), int, &[0, pointer, 0, int, 0, other]);
        self.add("pin", (12, 1), pin, &[]);
        self
    }

    fn lays_out(mut self, kinds: u32) -> Self {
        for _ in 0..=kinds {
            self.layout.extend([ONCE, EACH, 0, 0]);
        }
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let types: Vec<u8> = self.types.iter().flat_map(|it| it.to_ne_bytes()).collect();
        let lengths = [types.len(), self.strings.len(), self.layout.len()].map(|it| it as u32);
        let [of_types, of_strings, of_layout] = lengths;
        let mut words = vec![0, 0, of_types, of_types, of_strings];
        if of_layout > 0 {
            words.extend([of_types + of_strings, of_layout]);
        }
        words[0] = 4 + 4 * words.len() as u32;
        let mut bytes = 0xeb9f_u16.to_ne_bytes().to_vec();
        bytes.extend([1, self.flags]);
        bytes.extend(words.into_iter().flat_map(u32::to_ne_bytes));
        bytes.extend(types);
        bytes.extend(&self.strings);
        bytes.extend(&self.layout);
        bytes
    }

    fn read(&self) -> Result<KernelBtf, AgentError> {
        read(&self.bytes())
    }
}

fn read(bytes: &[u8]) -> Result<KernelBtf, AgentError> {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    KernelBtf::at(file.path())
}

/// What is asked of it at the start is all there, by its number.
fn check_whole(made: &Made, told: Option<&str>, last_argument: &str) {
    let types = made.read().unwrap();
    assert_eq!(types.strange().told().as_deref(), told);
    assert!(!types.strange().is_cut());
    assert_eq!(types.offset("page", "refs").unwrap(), Some(0));
    assert_eq!(types.structure_id("page"), Some(PAGE));
    assert_eq!(types.function_id("pin"), Some(PIN));
    let arguments = types.arguments("pin").unwrap().unwrap();
    assert_eq!(arguments, ["struct page *", "int", last_argument]);
    let mut facts = Facts::default();
    facts.functions.insert("pin".into(), Function::default());
    let outline = attach::outline(&types, &facts).unwrap();
    let id = |name, kind| outline.id_by_type_name_kind(name, kind).ok();
    assert_eq!(id("pin", BtfKind::Func), Some(PIN));
    assert_eq!(id("page", BtfKind::Struct), Some(PAGE));
    // The loader reads the kernel's own by itself. It may give up there, as it needs none of it.
    let _may_fail = aya::Btf::parse(&made.bytes(), aya::Endianness::default());
}

fn new_kind(kind: u32) -> impl Fn(&mut Made, u32) -> u32 {
    move |made, int| made.add("new", (kind, 3), int, &[1, 2, 3, 4, 5])
}

fn known(made: &mut Made, int: u32) -> u32 {
    made.add("const_int", (8, 0), int, &[])
}

#[test]
fn a_longer_header_and_a_layout_section_tell_nothing_new() {
    check_whole(&Made::new().with(known), None, "const_int");
    check_whole(&Made::new().with(known).lays_out(19), None, "const_int");
}

/// Where enumerations have no name, too; a value may have 64 bits.
#[test]
fn enumerators_are_found_whatever_they_are_in() {
    let made = Made::new().with(|made, _int| {
        let [one, two] = ["FOLL_LONGTERM", "PG_lru"].map(|it| made.string(it));
        made.add("", (19, 1), 8, &[one, 7, 1]);
        made.add("kept", (6, 2), 4, &[0, 3, two, u32::MAX])
    });
    let types = made.read().unwrap();
    assert_eq!(types.enumerator("FOLL_LONGTERM"), Some(1 << 32 | 7));
    assert_eq!(types.enumerator("PG_lru"), Some(u32::MAX.into()));
    assert_eq!(types.enumerator("PG_reserved"), None);
    assert_eq!(types.structure_id("kept"), None);
}

#[test]
fn flags_are_passed_over() {
    let mut made = Made::new().with(known).lays_out(19);
    made.flags = 4;
    check_whole(&made, Some("passed over: flags 0x4"), "const_int");
}

#[test]
fn kinds_whose_size_is_told_are_passed_over() {
    for kind in [NEW, WIDE] {
        let made = Made::new().with(new_kind(kind)).lays_out(kind);
        let told = format!("passed over: 2 types of kind {kind}");
        check_whole(&made, Some(&told), &format!("struct of_kind_{kind}"));
    }
}

/// They are in linux-next, and a kernel may have them without a layout section.
#[test]
fn the_kinds_for_inlined_functions_are_passed_over() {
    for (kind, members, rest) in [(20, 0, 2), (21, 3, 3), (22, 2, 8)] {
        let made = Made::new().with(|made, int| {
            let rest: Vec<u32> = (1..=rest).collect();
            made.add("", (kind, members), int, &rest)
        });
        let told = format!("passed over: 2 types of kind {kind}");
        check_whole(&made, Some(&told), &format!("struct of_kind_{kind}"));
    }
}

#[test]
fn an_enumeration_of_more_members_than_were_possible_is_passed_over() {
    const MEMBERS: u32 = 0x1_0002;
    let made = Made::new().with(|made, _int| {
        let members: Vec<u32> = vec![0; 2 * MEMBERS as usize];
        made.add("many", (6, MEMBERS), 4, &members)
    });
    let told = "passed over: 2 types of more than 65535 members";
    check_whole(&made, Some(told), "struct of_kind_6");
}

/// Everything before it is used, and what is missing then has its name.
#[test]
fn where_no_size_is_told_what_lies_behind_is_missing_and_the_kind_is_named() {
    let mut made = Made::new().with(known);
    new_kind(NEW)(&mut made, 1);
    made.add("lost", (4, 0), 4, &[]);
    let types = made.read().unwrap();
    assert!(types.strange().is_cut());
    let told = types.strange().told().unwrap();
    assert!(
        told.starts_with("type 9 is of kind 25, whose size it does not tell"),
        "{told}"
    );
    assert_eq!(types.offset("page", "refs").unwrap(), Some(0));
    assert_eq!(types.function_id("pin"), Some(PIN));
    assert_eq!(types.structure_id("lost"), None);
}

#[test]
fn what_is_no_btf_is_refused_with_its_reason() {
    let whole = Made::new().with(new_kind(NEW)).lays_out(NEW).bytes();
    let refused = |at: usize, byte: u8| {
        let mut bytes = whole.clone();
        bytes[at] = byte;
        plain(&bytes).unwrap_err()
    };
    assert_eq!(refused(0, 0), NoBtf::Magic);
    assert_eq!(refused(2, 7), NoBtf::Version(7));
    assert_eq!(refused(15, 0x7f), NoBtf::Outside("types"));
    assert_eq!(refused(31, 0x7f), NoBtf::Outside("layout section"));
    for length in 0..whole.len() {
        let error = read(&whole[..length]).err().unwrap();
        assert!(error.to_string().contains("is none: its "), "{error}");
    }
}
