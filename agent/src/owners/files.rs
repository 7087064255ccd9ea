//! Which file a mapping is of: asked of the kernel, by a folio that is pinned of it.

use std::{
    collections::{HashMap, HashSet},
    fs,
    time::Duration,
};

use probe_abi::Answer;
use serde::Serialize;
use verdicts::shown;

use super::names::{self, until_zero};
use crate::kernel::inspect::Inspector;

/// Tag bit of `folio->mapping`: anonymous memory (`PAGE_MAPPING_ANON`).
const ANONYMOUS: u64 = 1;

/// Tag bits in general; another one is set where the mapping is not a file's.
const TAGS: u64 = 3;

/// Bits of a device number that are its minor's, in the kernel's own encoding.
const MINOR_BITS: u32 = 20;

/// Files that are asked for in a second at most, those that have no name yet first.
const AT_ONCE: usize = 256;

/// Of those, files whose name may have changed.
const AGAIN_AT_ONCE: usize = 16;

/// How long a list of mounts is believed.
const MOUNTS_FOR: Duration = Duration::from_secs(10);

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

/// A file, as far as the kernel says; all of it text that can be shown.
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

/// What mappings are, as long as something of them is pinned: pointers are used again.
#[derive(Debug, Default)]
pub(crate) struct Files {
    known: HashMap<u64, FileName>,
    /// Mappings in the order in which they are asked for again.
    turn: Vec<u64>,
    mounts: Mounts,
}

impl Files {
    /// What a folio with this mapping belongs to.
    pub(crate) fn of(&self, mapping: u64) -> Memory {
        if mapping & ANONYMOUS != 0 {
            return Memory::Anonymous;
        }
        if mapping & TAGS != 0 || mapping == 0 {
            return Memory::Unmapped;
        }
        let known = self.known.get(&mapping);
        known.map_or(Memory::Unknown, |it| Memory::File(it.clone()))
    }

    /// Asks for these, each with the key of a folio that should have it, as many as there is
    /// time for, and forgets all others. Whether anything is known now that was not.
    pub(crate) fn refresh(
        &mut self,
        wanted: &HashMap<u64, u64>,
        inspector: &Inspector,
        now: Duration,
    ) -> bool {
        self.known.retain(|mapping, _| wanted.contains_key(mapping));
        self.turn.retain(|mapping| wanted.contains_key(mapping));
        let is_new = |it: &&u64| **it & TAGS == 0 && **it != 0 && !self.known.contains_key(it);
        let mut asked: Vec<u64> = wanted.keys().filter(is_new).copied().collect();
        asked.truncate(AT_ONCE);
        let again = AGAIN_AT_ONCE.min(self.turn.len());
        let again: Vec<u64> = self.turn.drain(..again).collect();
        self.turn.extend(&again);
        asked.extend(again);
        let mut is_changed = false;
        for mapping in asked {
            let key = wanted.get(&mapping).copied().unwrap_or_default();
            is_changed |= self.ask(mapping, key, inspector, now);
        }
        is_changed
    }

    /// Asks for all of these, once each, however long it takes.
    pub(crate) fn ask_all(
        &mut self,
        wanted: &HashMap<u64, u64>,
        inspector: &Inspector,
        now: Duration,
    ) {
        for (mapping, key) in wanted
            .iter()
            .filter(|(it, _)| **it & TAGS == 0 && **it != 0)
        {
            self.ask(*mapping, *key, inspector, now);
        }
    }

    /// Asks for one. Whether it is another one than was known.
    fn ask(&mut self, mapping: u64, key: u64, inspector: &Inspector, now: Duration) -> bool {
        // Of a file that is truncated the name is kept that it had.
        let Some(answer) = inspector.file(key, mapping) else {
            return false;
        };
        let name = self.file_name(&answer, now);
        let before = self.known.insert(mapping, name.clone());
        if before.is_none() {
            self.turn.push(mapping);
        }
        before != Some(name)
    }

    fn file_name(&mut self, answer: &Answer, now: Duration) -> FileName {
        let device = format!(
            "{}:{}",
            answer.device >> MINOR_BITS,
            answer.device & ((1 << MINOR_BITS) - 1)
        );
        FileName {
            file_system: shown(until_zero(&answer.file_system)),
            volume: shown(until_zero(&answer.volume)),
            inode: answer.inode,
            path: path(answer).map(|path| match self.mounts.of(&device, now) {
                Some(point) if point != "/" => format!("{point}{path}"),
                Some(_) | None => path,
            }),
            device,
        }
    }
}

/// The path below the root of the file system. A file that is in no folder is its own root.
fn path(answer: &Answer) -> Option<String> {
    let depth = (answer.depth as usize).min(answer.names.len());
    let root = until_zero(answer.names[..depth].last()?);
    if root == b"/" {
        return Some(names::path(answer));
    }
    names::path(answer).strip_prefix('/').map(str::to_owned)
}

/// Where each device's root is mounted, as text that can be shown.
#[derive(Debug, Default)]
struct Mounts {
    points: HashMap<String, String>,
    /// Devices that are mounted nowhere that can be seen.
    nowhere: HashSet<String>,
    read: Option<Duration>,
}

impl Mounts {
    fn of(&mut self, device: &str, now: Duration) -> Option<&str> {
        self.of_in(device, now, || {
            fs::read("/proc/self/mountinfo").unwrap_or_default()
        })
    }

    /// A device that is not in the list may have been mounted since: it is looked for once.
    fn of_in(
        &mut self,
        device: &str,
        now: Duration,
        read: impl FnOnce() -> Vec<u8>,
    ) -> Option<&str> {
        let is_old = self.read.is_none_or(|it| now >= it + MOUNTS_FOR);
        let is_new = !self.points.contains_key(device) && !self.nowhere.contains(device);
        if is_old {
            self.nowhere.clear();
        }
        if is_old || is_new && self.read != Some(now) {
            self.read = Some(now);
            self.points = parse_mounts(&read());
        }
        if !self.points.contains_key(device) {
            self.nowhere.insert(device.to_owned());
        }
        self.points.get(device).map(String::as_str)
    }
}

fn parse_mounts(text: &[u8]) -> HashMap<String, String> {
    let mut mounts = HashMap::new();
    for line in text.split(|it| *it == b'\n') {
        let mut words = line.split(|it| *it == b' ').skip(2);
        let (Some(device), Some(b"/"), Some(point)) = (words.next(), words.next(), words.next())
        else {
            continue;
        };
        let device = String::from_utf8_lossy(device).into_owned();
        let point = shown(&without_octal(point));
        mounts.entry(device).or_insert(point);
    }
    mounts
}

/// Bytes that the kernel writes as `\ooo` (`seq_escape`).
fn without_octal(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, more @ ..] = rest {
        let digits = more.first_chunk::<3>().filter(|_| *first == b'\\');
        let value = digits.and_then(|it| u8::from_str_radix(str::from_utf8(it).ok()?, 8).ok());
        bytes.push(value.unwrap_or(*first));
        rest = if value.is_some() { &more[3..] } else { more };
    }
    bytes
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
        let text = b"22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
                    30 22 8:1 /sub /bind rw - ext4 /dev/sda1 rw\n\
                    31 22 259:0 / /mnt/disk0 rw - ext4 /dev/nvme0n1 rw\n";
        let mounts = parse_mounts(text);
        assert_eq!(mounts["8:1"], "/");
        assert_eq!(mounts["259:0"], "/mnt/disk0");
    }

    #[test]
    fn a_mount_point_of_any_bytes_spoils_no_other() {
        let text = b"31 22 259:0 / /mnt/\xff\\040\\134a rw - ext4 /dev/nvme0n1 rw\n\
                    32 22 8:1 / /mnt/good rw - ext4 /dev/sda1 rw\n";
        let mounts = parse_mounts(text);
        assert_eq!(mounts["259:0"], r"/mnt/\xff \\a");
        assert_eq!(mounts["8:1"], "/mnt/good");
    }

    #[test]
    fn what_was_mounted_since_is_found_at_once_and_what_is_not_is_looked_for_once() {
        const OLD: &str = "1 1 8:1 / / rw - ext4 /dev/sda1 rw\n";
        const NEW: &str = "1 1 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 0:40 / /srv rw - tmpfs x rw\n";
        let second = Duration::from_secs(1);
        let mut mounts = Mounts::default();
        let list = |text: &'static str| move || text.as_bytes().to_vec();
        assert_eq!(mounts.of_in("8:1", second, list(OLD)), Some("/"));
        assert_eq!(mounts.of_in("0:40", second * 2, list(NEW)), Some("/srv"));
        assert_eq!(mounts.of_in("0:1", second * 3, list(NEW)), None);
        let again = || unreachable!("it was looked for");
        assert_eq!(mounts.of_in("0:1", second * 4, again), None);
        assert_eq!(mounts.of_in("0:1", second * 60, list(NEW)), None);
    }

    #[test]
    fn fuzz_mountinfo() {
        crate::fuzz::bytes(
            &[b"22 1 8:1 / / rw - ext4 /dev/sda1 rw\n31 22 259:0 / /mnt/a\\040b rw - ext4 x rw\n"],
            |it| {
                drop(parse_mounts(it));
            },
        );
    }
}
