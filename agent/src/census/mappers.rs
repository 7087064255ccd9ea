//! Which processes map a folio: by the page tables of every process, as `/proc/PID/pagemap` shows
//! them. It needs no structure of the kernel, and knows shared, private and huge memory alike.

use std::{
    collections::{HashMap, HashSet},
    fs, io,
};

use super::{found::Found, pagemap};

/// Frames in a piece of the set of pinned ones.
const PIECE: u64 = 1 << 15;

/// Sets of processes, each a list in order; the first one is empty.
#[derive(Debug)]
pub(super) struct Mappers {
    pub(super) sets: Vec<Vec<u32>>,
    numbers: HashMap<Vec<u32>, u32>,
    /// Set and process, and the set with both.
    sums: HashMap<(u32, u32), u32>,
    /// Processes whose memory may not be looked at.
    pub(super) hidden: u64,
}

impl Mappers {
    /// Looks at every process, and marks the folios that it maps.
    pub(super) fn mark(found: &mut Found) -> Self {
        let mut mappers = Self {
            sets: vec![Vec::new()],
            numbers: HashMap::from([(Vec::new(), 0)]),
            sums: HashMap::new(),
            hidden: 0,
        };
        let frames = Frames::of(found);
        for pid in pids() {
            let mut seen = HashSet::new();
            let looked = pagemap::frames(pid, &mut |frame| {
                if frames.has(frame)
                    && let Some(index) = index_of(found, frame)
                {
                    seen.insert(index);
                }
            });
            // The kernel's own threads have no memory, and who has ended has none any more.
            let is_hidden = |it: io::Error| it.kind() == io::ErrorKind::PermissionDenied;
            mappers.hidden += u64::from(looked.is_err_and(is_hidden));
            for index in seen {
                let folio = &mut found.folios[index];
                folio.mappers = mappers.with(folio.mappers, pid);
            }
        }
        mappers
    }

    /// The processes of a set.
    pub(super) fn of(&self, set: u32) -> &[u32] {
        self.sets.get(set as usize).map_or(&[], Vec::as_slice)
    }

    /// The set with a process more.
    fn with(&mut self, set: u32, pid: u32) -> u32 {
        if let Some(sum) = self.sums.get(&(set, pid)) {
            return *sum;
        }
        let mut pids = self.of(set).to_vec();
        pids.push(pid);
        pids.sort_unstable();
        pids.dedup();
        let next = self.sets.len() as u32;
        let sum = *self.numbers.entry(pids.clone()).or_insert(next);
        if sum == next {
            self.sets.push(pids);
        }
        self.sums.insert((set, pid), sum);
        sum
    }
}

/// The folio that a frame is part of.
fn index_of(found: &Found, frame: u64) -> Option<usize> {
    let behind = found.folios.partition_point(|it| it.pfn <= frame);
    let index = behind.checked_sub(1)?;
    let folio = &found.folios[index];
    (frame < folio.pfn + u64::from(folio.pages)).then_some(index)
}

/// A set of frames, for an answer in no time.
struct Frames(HashMap<u64, Vec<u64>>);

impl Frames {
    fn of(found: &Found) -> Self {
        let mut pieces: HashMap<u64, Vec<u64>> = HashMap::new();
        for folio in &found.folios {
            for frame in folio.pfn..folio.pfn + u64::from(folio.pages) {
                let piece = pieces.entry(frame / PIECE);
                let words = piece.or_insert_with(|| vec![0; PIECE as usize / 64]);
                let bit = frame % PIECE;
                words[bit as usize / 64] |= 1 << (bit % 64);
            }
        }
        Self(pieces)
    }

    fn has(&self, frame: u64) -> bool {
        let bit = frame % PIECE;
        let words = self.0.get(&(frame / PIECE));
        words.is_some_and(|it| it[bit as usize / 64] >> (bit % 64) & 1 == 1)
    }
}

fn pids() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|it| it.file_name().to_str()?.parse().ok())
        .collect()
}
