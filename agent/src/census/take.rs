//! Taking the census: walk, look who maps what was found, add up.

use std::ops::Range;

use super::{
    found::Found,
    mappers::Mappers,
    pagemap,
    places::Places,
    report::{By, Other, Report, Sum},
    rows,
    walk::{Pinned, Walk},
};
use crate::{
    error::AgentError,
    kernel::{
        census::Walker,
        inspect::Inspector,
        vmstat::{self, PinCounts},
    },
};

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) by: By,
    /// Only these frames.
    pub(crate) range: Option<Range<u64>>,
    /// Percent of one CPU that the walk may take.
    pub(crate) share: u32,
    /// Rows at most.
    pub(crate) top: usize,
}

/// Walks, and adds up. `tell` hears how much of it is done, from 0 to 1.
pub(crate) fn take(
    walker: &Walker,
    inspector: &Inspector,
    places: &Places,
    wanted: &Wanted,
    tell: &mut dyn FnMut(f64),
) -> Result<Report, AgentError> {
    let ranges = places.spans(wanted.range.as_ref());
    let all: u64 = ranges.iter().map(|it| it.end - it.start).sum();
    let is_whole = wanted.range.is_none();
    let kernel = || -> Result<i64, AgentError> {
        vmstat::refresh();
        Ok(PinCounts::read()?.outstanding())
    };
    let before = kernel()?;
    let (mut found, mut whole) = (Found::default(), Sum::default());
    let walked = Walk::new(walker, wanted.share).over(
        &ranges,
        &mut |Pinned { counted, pins }| {
            let folio = found.add(counted, *pins, walker.is_hugetlb(counted));
            whole.add(&folio, *pins);
        },
        &mut |done| tell(done as f64 / all.max(1) as f64),
    )?;
    let after = kernel()?;
    let mut notes = Vec::new();
    let mappers = match wanted.by {
        By::Process => mappers(&mut found, &mut notes),
        _ => None,
    };
    let (sum, mut rows) = rows::rows(&found, wanted.by, mappers.as_ref(), places, inspector);
    let unnamed = whole.folios - sum.folios;
    if unnamed > 0 {
        notes.push(format!(
            "{unnamed} folios are in the sums and in no row: more are pinned than are remembered \
             one by one"
        ));
    }
    // Whether memory is mapped may be known by now.
    if mappers.is_some() && unnamed == 0 {
        whole = sum;
    }
    notes.extend(rows::missing(wanted.by, places));
    if wanted.by == By::Node && is_whole {
        rows::compare_nodes(&mut rows);
    }
    let other = (rows.len() > wanted.top).then(|| {
        let mut other = Sum::default();
        let rest = rows.split_off(wanted.top);
        rest.iter().for_each(|it| other.join(&it.sum));
        Other {
            rows: rest.len(),
            sum: other,
        }
    });
    Ok(Report {
        by: wanted.by,
        range: wanted.range.clone(),
        sum: whole,
        unsettled_folios: walked.unsettled,
        untold_folios: walked.untold,
        kernel_pins: is_whole.then_some([before, after]),
        pages: walked.pages,
        absent_pages: walked.absent,
        seconds: walked.took.as_secs_f64(),
        cpu_seconds: walked.busy.as_secs_f64(),
        slices: walked.slices,
        longest_slice_seconds: walked.longest.as_secs_f64(),
        rows,
        other,
        notes,
    })
}

/// Who maps what was found; `None` where that is not shown.
pub(super) fn mappers(found: &mut Found, notes: &mut Vec<String>) -> Option<Mappers> {
    if !pagemap::are_shown() {
        notes.push(
            "which processes map the memory is not shown: reading frames in /proc/PID/pagemap takes \
             CAP_SYS_ADMIN; run this as root, or with --by file, memcg, kind, size, node, zone, \
             block or cma"
                .to_owned(),
        );
        return None;
    }
    let mappers = Mappers::mark(found);
    if mappers.hidden > 0 {
        notes.push(format!(
            "the memory of {} processes cannot be looked at: that takes CAP_SYS_PTRACE, and a /proc \
             that shows them (hidepid)",
            mappers.hidden
        ));
    }
    // Who is looked at and found with none says what the kernel's count does not.
    let all_seen = mappers.hidden == 0;
    for folio in &mut found.folios {
        folio.is_unmapped = folio.is_unmapped.or(match folio.mappers {
            0 if all_seen => Some(true),
            0 => None,
            _ => Some(false),
        });
    }
    Some(mappers)
}
