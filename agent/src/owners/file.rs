//! Which file a pinned folio is of, and which cgroup is charged for it: asked of
//! the kernel side, which follows the pointers.

use std::{collections::HashMap, fs};

use log::debug;
use probe_abi::{Answer, Query};
use serde::Serialize;

use super::text::until_zero;
use crate::kernel::{maps::PinEntry, resolver::Resolver};

/// Tag bit of `folio->mapping`: anonymous memory.
const ANONYMOUS: u64 = 1;

/// Tag bits in general; another one is set where the mapping is not a file's.
const TAGS: u64 = 3;

/// Bits of a device number that are its minor's, in the kernel's own encoding.
const MINOR_BITS: u32 = 20;

/// What a folio belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Memory {
    /// Memory of a process, of no file.
    Anonymous,
    /// A page of a file's cache.
    File(FileName),
    /// Of no mapping: the file was truncated, or a driver's memory.
    Unmapped,
    /// The kernel could not be asked, or the folio went elsewhere meanwhile.
    Unknown,
}

/// A file, as far as the kernel says.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub(crate) struct FileName {
    pub(crate) file_system: String,
    /// Mostly the block device's name.
    pub(crate) volume: String,
    pub(crate) device: String,
    pub(crate) inode: u64,
    /// Path below a mount point that shows it, or else below the root of its
    /// file system; absent for a file without a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<String>,
}

impl Memory {
    /// In one line.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Anonymous => "anonymous".to_owned(),
            Self::Unmapped => "no file".to_owned(),
            Self::Unknown => "unknown".to_owned(),
            Self::File(file) => {
                let path = file.path.as_deref().unwrap_or("(no name)");
                format!(
                    "{path} ({} {}, inode {})",
                    file.file_system, file.volume, file.inode
                )
            }
        }
    }
}

/// Asks, and remembers the answers for as long as a report takes.
pub(crate) struct Files {
    resolver: Option<Resolver>,
    mappings: HashMap<u64, Memory>,
    memcgs: HashMap<u64, Option<u64>>,
    /// Mount points by device, for as long as a report takes.
    mounts: Option<HashMap<String, String>>,
}

impl Files {
    pub(crate) fn new(resolver: Option<Resolver>) -> Self {
        Self {
            resolver,
            mappings: HashMap::new(),
            memcgs: HashMap::new(),
            mounts: None,
        }
    }

    /// Forgets all answers: pointers are used again.
    pub(crate) fn forget(&mut self) {
        self.mappings.clear();
        self.memcgs.clear();
        self.mounts = None;
    }

    /// What the folio of an entry belongs to.
    pub(crate) fn memory(&mut self, entry: &PinEntry) -> Memory {
        if entry.mapping & ANONYMOUS != 0 {
            return Memory::Anonymous;
        }
        if entry.mapping & TAGS != 0 || entry.mapping == 0 {
            return Memory::Unmapped;
        }
        if let Some(known) = self.mappings.get(&entry.mapping) {
            return known.clone();
        }
        let answer = self.ask([Query::FILE, entry.key, entry.mapping]);
        let Some(answer) = answer else {
            // Another folio of the same file may still be there.
            return Memory::Unknown;
        };
        let memory = Memory::File(self.file_name(&answer));
        self.mappings.insert(entry.mapping, memory.clone());
        memory
    }

    /// Id of the cgroup that is charged for an entry's folio.
    pub(crate) fn charged(&mut self, entry: &PinEntry) -> Option<u64> {
        if entry.memcg == 0 {
            return None;
        }
        if let Some(known) = self.memcgs.get(&entry.memcg) {
            return *known;
        }
        let id = self.ask([Query::MEMCG, entry.memcg, 0]).map(|it| it.cgroup);
        self.memcgs.insert(entry.memcg, id);
        id
    }

    fn ask(&mut self, question: [u64; 3]) -> Option<Answer> {
        match self.resolver.as_ref()?.ask(question) {
            Ok(answer) => (answer.known == 1).then_some(answer),
            Err(error) => {
                debug!("cannot ask the kernel side what a pointer is: {error}");
                None
            }
        }
    }

    fn file_name(&mut self, answer: &Answer) -> FileName {
        let device = format!(
            "{}:{}",
            answer.device >> MINOR_BITS,
            answer.device & ((1 << MINOR_BITS) - 1)
        );
        let mounts = self.mounts.get_or_insert_with(mounts);
        FileName {
            file_system: until_zero(&answer.file_system),
            volume: until_zero(&answer.volume),
            inode: answer.inode,
            path: path(answer).map(|path| match mounts.get(&device) {
                Some(point) if point != "/" => format!("{point}{path}"),
                Some(_) | None => path,
            }),
            device,
        }
    }
}

/// The path below the root of the file system.
fn path(answer: &Answer) -> Option<String> {
    let depth = (answer.depth as usize).min(answer.names.len());
    let names: Vec<String> = answer.names[..depth]
        .iter()
        .rev()
        .map(|name| until_zero(name))
        .collect();
    let (first, rest) = names.split_first()?;
    // The root is called "/"; a file that is in no folder is its own root.
    if first == "/" {
        Some(format!("/{}", rest.join("/")))
    } else {
        Some(names.join("/"))
    }
}

/// Where each device's root is mounted.
fn mounts() -> HashMap<String, String> {
    fs::read_to_string("/proc/self/mountinfo")
        .map(|text| parse_mounts(&text))
        .unwrap_or_default()
}

fn parse_mounts(text: &str) -> HashMap<String, String> {
    let mut mounts = HashMap::new();
    for line in text.lines() {
        let mut words = line.split(' ').skip(2);
        let (Some(device), Some("/"), Some(point)) = (words.next(), words.next(), words.next())
        else {
            continue;
        };
        mounts
            .entry(device.to_owned())
            .or_insert_with(|| point.to_owned());
    }
    mounts
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytemuck::Zeroable as _;

    fn answer(names: &[&str]) -> Answer {
        let mut answer = Answer::zeroed();
        answer.depth = names.len() as u32;
        for (cell, name) in answer.names.iter_mut().zip(names) {
            cell[..name.len()].copy_from_slice(name.as_bytes());
        }
        answer
    }

    #[test]
    fn a_path_is_read_from_the_file_to_the_root() {
        assert_eq!(
            path(&answer(&["file", "folder", "/"])).as_deref(),
            Some("/folder/file")
        );
    }

    #[test]
    fn a_file_in_no_folder_has_its_name_only() {
        assert_eq!(
            path(&answer(&["memfd:buffer"])).as_deref(),
            Some("memfd:buffer")
        );
        assert_eq!(path(&answer(&[])), None);
    }

    #[test]
    fn a_hostile_depth_is_not_believed() {
        let mut answer = answer(&["file", "/"]);
        answer.depth = u32::MAX;
        assert!(path(&answer).is_some());
    }

    #[test]
    fn only_a_mount_of_the_root_shows_a_path() {
        let text = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
                    30 22 8:1 /sub /bind rw - ext4 /dev/sda1 rw\n\
                    31 22 259:0 / /mnt/disk0 rw - ext4 /dev/nvme0n1 rw\n";
        let mounts = parse_mounts(text);
        assert_eq!(mounts["8:1"], "/");
        assert_eq!(mounts["259:0"], "/mnt/disk0");
    }
}
