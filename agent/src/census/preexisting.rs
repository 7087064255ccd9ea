//! The census that the agent takes when it starts: folios that are pinned already, one by one, and
//! which processes map each.

use std::collections::{BTreeSet, HashMap};

use super::{found::Found, likely, places::Places, take, walk::Walk};
use crate::{error::AgentError, kernel::census::Walker};

/// Folios that are remembered, at most: of what is beyond, nobody is known to pin it.
const MOST: usize = 1 << 20;

/// What it found.
#[derive(Debug, Default)]
pub(crate) struct Preexisting {
    pub(crate) folios: Vec<PinnedFolio>,
    /// Sets of processes, by number; the first one is empty.
    pub(crate) mappers: Vec<Vec<u32>>,
    /// What folios have for the memory cgroup that they are charged to, by number.
    pub(crate) memcgs: Vec<u64>,
    /// What each of the processes has open that can hold pins, as far as it is shown.
    pub(crate) likely: HashMap<u32, BTreeSet<&'static str>>,
    /// Folios that are not among them: there are too many, or nothing tells their pins.
    pub(crate) left_out: u64,
    /// What is not known, and why.
    pub(crate) notes: Vec<String>,
}

/// A folio that is pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PinnedFolio {
    /// Its key in the ledger.
    pub(crate) key: u64,
    /// Number of the set of processes that map it.
    pub(crate) mappers: u32,
    /// Number of what it has for its memory cgroup; none where there is no such number.
    pub(crate) memcg: u32,
}

/// Walks over all memory, with so many percent of one CPU.
pub(crate) fn preexisting(walker: &Walker, share: u32) -> Result<Preexisting, AgentError> {
    let spans = Places::read()?.spans(None);
    let mut found = Found::default();
    let mut keys = Vec::new();
    let mut left_out = 0;
    let walked = Walk::new(walker, share).over(
        &spans,
        &mut |it| {
            if keys.len() < MOST {
                keys.push(it.counted.folio.key);
                found.add(&it.counted, it.pins, walker.is_hugetlb(&it.counted));
            } else {
                left_out += 1;
            }
        },
        &mut |_| {},
    )?;
    let mut notes = Vec::new();
    let mappers = take::mappers(&mut found, &mut notes);
    let mappers = mappers.map_or_else(|| vec![Vec::new()], |it| it.sets);
    let pids: BTreeSet<u32> = mappers.iter().flatten().copied().collect();
    let likely = pids
        .into_iter()
        .filter_map(|pid| Some((pid, likely::holders(pid)?)));
    let folios = keys.into_iter().zip(&found.folios);
    Ok(Preexisting {
        folios: folios
            .map(|(key, folio)| PinnedFolio {
                key,
                mappers: folio.mappers,
                memcg: folio.memcg,
            })
            .collect(),
        likely: likely.collect(),
        mappers,
        memcgs: found.memcgs.all().to_vec(),
        left_out: left_out + walked.untold,
        notes,
    })
}
