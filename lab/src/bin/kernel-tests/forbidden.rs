//! A function that the kernel truly forbids kprobes on. Its own list is made when it is compiled;
//! but a module may bring addresses for it, and an empty one, made here, brings that of a function
//! which the kernel exports. Gone with the module.

use std::fs::{self, File};
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use btf_rs::Type;
use lab::btf;

/// The kernel's list.
pub(crate) const BLACKLIST: &str = "/sys/kernel/debug/kprobes/blacklist";

const NAME: &str = "pinscope_forbidden";
/// `MODULE_INIT_IGNORE_MODVERSIONS | MODULE_INIT_IGNORE_VERMAGIC`, include/uapi/linux/module.h.
const UNVERSIONED: libc::c_int = 3;
/// A relocation by an address of 64 bits: `R_X86_64_64`, `R_AARCH64_ABS64`.
const ADDRESS: u64 = if cfg!(target_arch = "aarch64") {
    257
} else {
    1
};
/// `EM_X86_64`, `EM_AARCH64`.
const MACHINE: u16 = if cfg!(target_arch = "aarch64") {
    183
} else {
    62
};

/// No kprobe can be opened on the function while this lives.
#[derive(Debug)]
pub(crate) struct Forbidden;

impl Forbidden {
    pub(crate) fn function(symbol: &str) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("{NAME}.ko"));
        fs::write(&path, module(symbol)?)?;
        let loaded = load(&path);
        fs::remove_file(&path)?;
        loaded?;
        let forbidden = Self;
        let list = fs::read_to_string(BLACKLIST).context(BLACKLIST)?;
        let ours = |line: &str| line.split_whitespace().last() == Some(symbol);
        ensure!(
            list.lines().any(ours),
            "{symbol} is not on the kernel's list"
        );
        Ok(forbidden)
    }
}

impl Drop for Forbidden {
    fn drop(&mut self) {
        let name = format!("{NAME}\0");
        // SAFETY: the name ends with a zero. The guest's other tests would tell if it stayed.
        let _tests_tell =
            unsafe { libc::syscall(libc::SYS_delete_module, name.as_ptr(), libc::O_NONBLOCK) };
    }
}

fn load(path: &PathBuf) -> Result<()> {
    use std::os::fd::AsRawFd;
    let file = File::open(path)?;
    // SAFETY: a descriptor, an empty string and a number.
    let failed = unsafe {
        libc::syscall(
            libc::SYS_finit_module,
            file.as_raw_fd(),
            c"".as_ptr(),
            UNVERSIONED,
        )
    };
    ensure!(
        failed == 0,
        "the module that forbids a function is refused: {}",
        std::io::Error::last_os_error()
    );
    Ok(())
}

/// Section types and flags of ELF.
const PROGBITS: u32 = 1;
const SYMTAB: u32 = 2;
const STRTAB: u32 = 3;
const RELA: u32 = 4;
const WRITE: u64 = 1;
const ALLOC: u64 = 2;
const EXECUTE: u64 = 4;

struct Section {
    name: &'static str,
    kind: u32,
    flags: u64,
    bytes: Vec<u8>,
    link: u32,
    info: u32,
    entry: u64,
}

impl Section {
    fn new(name: &'static str, kind: u32, flags: u64, bytes: Vec<u8>) -> Self {
        let (link, info, entry) = (0, 0, 0);
        Self {
            name,
            kind,
            flags,
            bytes,
            link,
            info,
            entry,
        }
    }
}

/// Places in the table of sections below.
const FORBIDDEN: u32 = 3;
const SYMBOLS: u32 = 5;
const STRINGS: u32 = 6;
const NAMES: u16 = 7;

/// A relocatable object without code: what is to be known of it, its `struct module`, and one
/// address, which the loader fills in.
fn module(symbol: &str) -> Result<Vec<u8>> {
    let mut relocation = Vec::new();
    for word in [0, (1 << 32) | ADDRESS, 0_u64] {
        relocation.extend(word.to_le_bytes());
    }
    // The null symbol, and one that is global, without a type, and defined elsewhere.
    let mut symbols = vec![0; 48];
    symbols[24] = 1;
    symbols[28] = 1 << 4;
    let facts = format!("license=GPL\0name={NAME}\0");
    let mut sections = vec![
        Section::new("", 0, 0, Vec::new()),
        Section::new(".modinfo", PROGBITS, ALLOC, facts.into_bytes()),
        Section::new(
            ".gnu.linkonce.this_module",
            PROGBITS,
            ALLOC | WRITE,
            this_module()?,
        ),
        Section::new("_kprobe_blacklist", PROGBITS, ALLOC | WRITE, vec![0; 8]),
        Section {
            link: SYMBOLS,
            info: FORBIDDEN,
            entry: 24,
            ..Section::new(".rela_kprobe_blacklist", RELA, 0, relocation)
        },
        Section {
            link: STRINGS,
            info: 1,
            entry: 24,
            ..Section::new(".symtab", SYMTAB, 0, symbols)
        },
        Section::new(".strtab", STRTAB, 0, format!("\0{symbol}\0").into_bytes()),
        Section::new(".shstrtab", STRTAB, 0, Vec::new()),
    ];
    if cfg!(target_arch = "aarch64") {
        // Room that its loader asks for, whether it is used or not.
        for name in [
            ".plt",
            ".init.plt",
            ".text.ftrace_trampoline",
            ".init.text.ftrace_trampoline",
        ] {
            sections.push(Section::new(name, PROGBITS, ALLOC | EXECUTE, vec![0]));
        }
    }
    Ok(elf(sections))
}

/// The structure that the loader takes the module's name from; all else in it is zero.
fn this_module() -> Result<Vec<u8>> {
    let btf = btf::kernel()?;
    for id in btf.resolve_ids_by_name("module")? {
        let Type::Struct(structure) = btf.resolve_type_by_id(id)? else {
            continue;
        };
        let mut bytes = vec![0; structure.size()];
        for member in &structure.members {
            if btf.resolve_name(member).is_ok_and(|it| it == "name") {
                let at = member.bit_offset() as usize / 8;
                bytes[at..at + NAME.len()].copy_from_slice(NAME.as_bytes());
                return Ok(bytes);
            }
        }
    }
    anyhow::bail!("the kernel's BTF has no struct module with a name")
}

/// Header, contents, table of sections.
fn elf(mut sections: Vec<Section>) -> Vec<u8> {
    const HEADER: usize = 64;
    const ALIGNMENT: u64 = 64;
    let mut names = Vec::new();
    let places: Vec<u32> = sections
        .iter()
        .map(|it| {
            let at = names.len() as u32;
            names.extend(it.name.bytes().chain([0]));
            at
        })
        .collect();
    sections[usize::from(NAMES)].bytes = names;
    let mut contents = vec![0; HEADER];
    let mut table = Vec::new();
    for (section, name) in sections.iter().zip(places) {
        contents.resize(contents.len().next_multiple_of(ALIGNMENT as usize), 0);
        let at = contents.len() as u64;
        let is_null = section.kind == 0;
        table.extend(name.to_le_bytes());
        table.extend(section.kind.to_le_bytes());
        for word in [
            section.flags,
            0,
            if is_null { 0 } else { at },
            section.bytes.len() as u64,
        ] {
            table.extend(word.to_le_bytes());
        }
        table.extend(section.link.to_le_bytes());
        table.extend(section.info.to_le_bytes());
        table.extend(if is_null { 0 } else { ALIGNMENT }.to_le_bytes());
        table.extend(section.entry.to_le_bytes());
        contents.extend(&section.bytes);
    }
    contents.resize(contents.len().next_multiple_of(ALIGNMENT as usize), 0);
    let table_at = contents.len() as u64;
    // 64 bits, little-endian, version 1; relocatable.
    let mut header = b"\x7fELF\x02\x01\x01".to_vec();
    header.resize(16, 0);
    header.extend(1_u16.to_le_bytes());
    header.extend(MACHINE.to_le_bytes());
    header.extend(1_u32.to_le_bytes());
    for word in [0, 0, table_at] {
        header.extend(word.to_le_bytes());
    }
    header.extend(0_u32.to_le_bytes());
    for half in [HEADER as u16, 0, 0, 64, sections.len() as u16, NAMES] {
        header.extend(half.to_le_bytes());
    }
    contents[..HEADER].copy_from_slice(&header);
    contents.extend(table);
    contents
}
