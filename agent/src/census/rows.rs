//! What was found, in rows.

use std::{collections::HashMap, fs};

use verdicts::shown;

use super::{
    found::{Folio, Found},
    likely,
    mappers::Mappers,
    places::Places,
    report::{By, Row, Sum, Task},
};
use crate::{
    kernel::{
        inspect::Inspector,
        sys,
        vmstat::{self, PinCounts},
    },
    owners::{
        files::{Files, Memory},
        memcgs::Memcgs,
    },
};

/// What is not known.
const UNKNOWN: &str = "(unknown)";

/// By what a folio is told from those of another row.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    /// Number of a set of processes.
    Mappers(u32),
    Number(u64),
    Text(String),
}

/// All rows, the most memory first, and what they add up to.
pub(super) fn rows(
    found: &Found,
    by: By,
    mappers: Option<&Mappers>,
    places: &Places,
    inspector: &Inspector,
) -> (Sum, Vec<Row>) {
    let namer = Namer::new(found, by, mappers, places, inspector);
    let mut sums: HashMap<Key, Sum> = HashMap::new();
    let mut all = Sum::default();
    for folio in &found.folios {
        let pins = u64::from(folio.pins);
        all.add(folio, pins);
        sums.entry(namer.key(folio)).or_default().add(folio, pins);
    }
    let mut rows: Vec<Row> = sums
        .into_iter()
        .map(|(key, sum)| namer.row(key, sum))
        .collect();
    rows.sort_by(|a, b| {
        let order = |it: &Row| (std::cmp::Reverse(it.sum.bytes), it.name.clone());
        order(a).cmp(&order(b))
    });
    (all, rows)
}

/// What cannot be told, and the way out.
pub(super) fn missing(by: By, places: &Places) -> Option<String> {
    match by {
        By::Block if !places.has_blocks() => Some(
            "the kernel has no memory blocks: it is built without CONFIG_MEMORY_HOTPLUG".to_owned(),
        ),
        By::Cma if !places.has_cma() => Some(
            "where CMA areas are is shown by debugfs only, in /sys/kernel/debug/cma: it takes a \
             kernel with CONFIG_CMA_DEBUGFS, debugfs mounted, and root"
                .to_owned(),
        ),
        _ => None,
    }
}

/// Adds what the kernel counts as pinned on each node, also on one where nothing was found.
pub(super) fn compare_nodes(rows: &mut Vec<Row>) {
    for node in vmstat::online_nodes().unwrap_or_default() {
        let Some(kernel) = PinCounts::of_node(node) else {
            continue;
        };
        let (name, pins) = (of_node(node as u32), kernel.outstanding());
        match rows.iter_mut().find(|it| it.name == name) {
            Some(row) => row.kernel_pins = Some(pins),
            None => rows.push(Row {
                name,
                processes: Vec::new(),
                kernel_pins: Some(pins),
                sum: Sum::default(),
            }),
        }
    }
}

fn of_node(node: u32) -> String {
    format!("node {node}")
}

struct Namer<'a> {
    found: &'a Found,
    by: By,
    mappers: Option<&'a Mappers>,
    places: &'a Places,
    files: Files,
    memcgs: Memcgs,
}

impl<'a> Namer<'a> {
    fn new(
        found: &'a Found,
        by: By,
        mappers: Option<&'a Mappers>,
        places: &'a Places,
        inspector: &Inspector,
    ) -> Self {
        let (mut files, mut memcgs) = (Files::default(), Memcgs::default());
        if matches!(by, By::File | By::Kind) {
            files.ask_all(&found.keys, inspector, sys::awake());
        }
        if by == By::Memcg {
            memcgs.ask_all(found.memcgs.all(), inspector);
        }
        Self {
            found,
            by,
            mappers,
            places,
            files,
            memcgs,
        }
    }

    fn key(&self, folio: &Folio) -> Key {
        match self.by {
            By::Process => match self.mappers {
                Some(_) => Key::Mappers(folio.mappers),
                None => Key::Text(UNKNOWN.to_owned()),
            },
            By::File => Key::Number(u64::from(folio.mapping)),
            By::Memcg => Key::Number(u64::from(folio.memcg)),
            By::Kind => Key::Text(self.kind(folio).to_owned()),
            By::Size => Key::Number(u64::from(folio.pages)),
            By::Node => match self.places.zone_of(folio.pfn) {
                Some((node, _)) => Key::Text(of_node(node)),
                None => Key::Text(UNKNOWN.to_owned()),
            },
            By::Zone => match self.places.zone_of(folio.pfn) {
                Some((node, zone)) => Key::Text(format!("node {node} {zone}")),
                None => Key::Text(UNKNOWN.to_owned()),
            },
            By::Block => match self.places.block_of(folio.pfn) {
                Some(block) => Key::Text(format!("memory{block}")),
                None => Key::Text(UNKNOWN.to_owned()),
            },
            By::Cma => match (self.places.has_cma(), self.places.cma_of(folio.pfn)) {
                (true, Some(area)) => Key::Text(shown(area.as_bytes())),
                (true, None) => Key::Text("no area".to_owned()),
                (false, _) => Key::Text(UNKNOWN.to_owned()),
            },
        }
    }

    fn memory(&self, number: u32) -> Memory {
        let word = self.found.mappings.word(number);
        word.map_or(Memory::Unknown, |it| self.files.of(it))
    }

    fn kind(&self, folio: &Folio) -> &'static str {
        match self.memory(folio.mapping) {
            _ if folio.is_hugetlb => "hugetlb",
            Memory::File(file) if file.file_system == "hugetlbfs" => "hugetlb",
            Memory::File(file) if ["tmpfs", "devtmpfs"].contains(&&*file.file_system) => "shmem",
            Memory::File(_) => "file",
            Memory::Anonymous => "anonymous",
            Memory::Unmapped => "no file",
            Memory::Unknown => UNKNOWN,
        }
    }

    fn row(&self, key: Key, sum: Sum) -> Row {
        let number = |it: u64| u32::try_from(it).unwrap_or(u32::MAX);
        let (name, processes) = match (key, self.by) {
            (Key::Mappers(set), _) => {
                let pids = self.mappers.map_or(&[][..], |it| it.of(set));
                let tasks: Vec<Task> = pids.iter().map(|it| task(*it)).collect();
                (named(&tasks), tasks)
            }
            (Key::Text(text), _) => (text, Vec::new()),
            (Key::Number(it), By::File) => (self.memory(number(it)).text(), Vec::new()),
            (Key::Number(it), By::Memcg) => {
                let word = self.found.memcgs.word(number(it));
                let known = word.and_then(|it| self.memcgs.of(it));
                let name = match (known, word) {
                    (Some(cgroup), _) => cgroup.path.clone(),
                    (None, Some(0)) => "charged to none".to_owned(),
                    (None, _) => UNKNOWN.to_owned(),
                };
                (name, Vec::new())
            }
            (Key::Number(pages), _) => {
                let kibibytes = pages * sys::page_bytes() / 1024;
                (format!("{kibibytes} KiB"), Vec::new())
            }
        };
        Row {
            name,
            processes,
            kernel_pins: None,
            sum,
        }
    }
}

fn task(pid: u32) -> Task {
    let comm = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    let comm = comm.strip_suffix(b"\n").unwrap_or(&comm);
    Task {
        pid,
        comm: match comm {
            [] => "(ended)".to_owned(),
            comm => shown(comm),
        },
        likely: likely::holders(pid).map(|it| it.into_iter().collect()),
    }
}

/// The first few of them, and how many there are.
fn named(tasks: &[Task]) -> String {
    const FEW: usize = 3;
    if tasks.is_empty() {
        return "no process maps it".to_owned();
    }
    let few = tasks.iter().take(FEW);
    let names: Vec<String> = few.map(|it| format!("{} {}", it.pid, it.comm)).collect();
    let more = match tasks.len().saturating_sub(FEW) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", names.join(", "))
}
