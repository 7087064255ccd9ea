//! `/proc/kcore`: the kernel's memory as a core file. It knows which ranges there are and reads them; what
//! lies in them is for others to know.

use std::fs::File;
use std::os::unix::fs::FileExt;

use anyhow::{Context, Result, ensure};
use object::Endianness;
use object::elf::{FileHeader64, PT_LOAD};
use object::read::elf::{FileHeader, ProgramHeader};

/// Room for the headers of some five thousand ranges and for the notes.
const HEADERS: usize = 512 << 10;

/// The file, opened once for each count: ranges come and go with memory.
#[derive(Debug)]
pub struct Kcore {
    file: File,
    /// The ranges, in the file's order.
    pub ranges: Vec<Range>,
    /// The note that the kernel keeps for whoever reads a crash dump: lines such as `NUMBER(PG_lru)=5`.
    note: String,
}

/// A range of the kernel's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Its first address.
    pub address: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// The physical address, of memory that is mapped one to one and of the kernel's image.
    pub physical: Option<u64>,
    offset: u64,
}

impl Range {
    #[cfg(test)]
    pub(super) fn new(address: u64, bytes: u64, physical: Option<u64>) -> Self {
        Self {
            address,
            bytes,
            physical,
            offset: 0,
        }
    }

    /// The first address behind it.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.address + self.bytes
    }
}

impl Kcore {
    /// Opens it and reads what it says of itself.
    pub fn open() -> Result<Self> {
        let file = File::open("/proc/kcore").context(
            "/proc/kcore cannot be opened: root is needed, and a kernel that is not locked down for confidentiality",
        )?;
        let mut head = vec![0; HEADERS];
        let got = read_up_to(&file, &mut head, 0).context("/proc/kcore cannot be read")?;
        let head = &head[..got];
        let (ranges, note) = parse(head).context("/proc/kcore is not the core file that it was")?;
        Ok(Self { file, ranges, note })
    }

    /// A number of the note.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<i64> {
        let start = format!("NUMBER({name})=");
        let mut lines = self.note.lines();
        lines
            .find_map(|line| line.strip_prefix(&start))?
            .parse()
            .ok()
    }

    /// Fills `into` from `address` on, which must lie in `range` with all that follows.
    pub fn read(&self, range: &Range, address: u64, into: &mut [u8]) -> Result<()> {
        let length = into.len() as u64;
        ensure!(
            range.address <= address && address + length <= range.end(),
            "{length} bytes at {address:#x} are not all in one range of /proc/kcore"
        );
        let at = range.offset + (address - range.address);
        self.file
            .read_exact_at(into, at)
            .with_context(|| format!("{length} bytes at {address:#x} cannot be read"))
    }
}

/// The file may be shorter than the room, and a read shorter than asked for.
fn read_up_to(file: &File, into: &mut [u8], at: u64) -> std::io::Result<usize> {
    let mut got = 0;
    while got < into.len() {
        match file.read_at(&mut into[got..], at + got as u64)? {
            0 => break,
            more => got += more,
        }
    }
    Ok(got)
}

fn parse(head: &[u8]) -> Result<(Vec<Range>, String)> {
    type Elf = FileHeader64<Endianness>;
    let elf = Elf::parse(head)?;
    let endian = elf.endian()?;
    let mut ranges = Vec::new();
    let mut text = String::new();
    for program in elf.program_headers(endian, head)? {
        if let Some(mut notes) = program.notes(endian, head)? {
            while let Some(note) = notes.next()? {
                if note.name() == b"VMCOREINFO" {
                    text = String::from_utf8_lossy(note.desc()).into_owned();
                }
            }
        }
        if program.p_type(endian) != PT_LOAD {
            continue;
        }
        let physical = program.p_paddr(endian);
        ranges.push(Range {
            address: program.p_vaddr(endian),
            bytes: program.p_filesz(endian),
            physical: (physical != u64::MAX).then_some(physical),
            offset: program.p_offset(endian),
        });
    }
    Ok((ranges, text))
}
