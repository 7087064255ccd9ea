//! The trial of writeback: one dirty page of a file of our own, mapped once, is
//! cleaned, and its walk has to say so.

use std::io::{self, Error};

use aya::maps::{MapData, RingBuf};
use hooks::{Exercise, MKCLEAN, PTES_FOUND};
use probe_abi::{MkcleanSample, SampleFlags};

use super::{
    deadline::OUT_OF_TIME,
    memory::{OnDisk, read_across, splice, touch, write_back},
    outcome::Observation,
    trials::Trials,
};

/// What both hooks saw of it.
pub(super) fn observe(trials: &mut Trials<'_>, samples: &mut RingBuf<MapData>) -> Vec<Observation> {
    let deadline = trials.deadline;
    let written = |disk: &OnDisk| {
        let file = disk.file.try_clone()?;
        deadline.act(move || write_back(&file))
    };
    let sample = match clean_one(trials, samples, written) {
        Ok(sample) => sample,
        Err(error) => {
            let why = format!("no page of a file could be written back: {error}");
            trials.untested(&[MKCLEAN, PTES_FOUND], why);
            return Vec::new();
        }
    };
    let observation = |hook, seen: Result<(), String>| Observation {
        about: vec![hook],
        seen: seen.map(|()| vec![hook]),
    };
    let Some(sample) = sample else {
        let missed = Err("a page was written back, it saw no walk".to_owned());
        return vec![observation(MKCLEAN, missed)];
    };
    let mut seen = vec![observation(
        MKCLEAN,
        match sample.cleaned {
            1 => Ok(()),
            other => Err(format!("1 entry was cleaned, it saw {other}")),
        },
    )];
    if trials.is_attached(PTES_FOUND) && sample.flags & SampleFlags::PTES_KNOWN != 0 {
        seen.push(observation(
            PTES_FOUND,
            match sample.ptes_found {
                1 => Ok(()),
                other => Err(format!("1 entry was found, it saw {other}")),
            },
        ));
    }
    seen
}

/// Has a page cleaned, by `write`, that references were taken on before: only such
/// walks are sent for sure.
pub(super) fn clean_one(
    trials: &mut Trials<'_>,
    samples: &mut RingBuf<MapData>,
    write: impl FnOnce(&OnDisk) -> io::Result<()>,
) -> io::Result<Option<MkcleanSample>> {
    if trials.deadline.has_passed() {
        return Err(Error::other(OUT_OF_TIME));
    }
    let disk = match &trials.disk {
        Ok(disk) => disk,
        Err(error) => return Err(Error::other(error.to_string())),
    };
    let inode = disk.inode()?;
    let mut page = disk.first_page()?;
    // Nobody else reads the ring yet, and what it holds by now is not counted.
    while samples.next().is_some() {}
    let full = trials.witness.samples_lost();
    touch(&mut page);
    let by_pins = trials.sees(Exercise::ProcessVmReadv);
    if by_pins {
        read_across(&page)?;
    } else {
        splice(&page)?;
    }
    write(disk)?;
    if !by_pins {
        trials.look_for_keys();
    }
    while let Some(bytes) = samples.next() {
        if let Ok(sample) = bytemuck::try_pod_read_unaligned::<MkcleanSample>(&bytes)
            && (sample.inode, sample.index) == (inode, 0)
        {
            return Ok(Some(sample));
        }
    }
    if trials.witness.samples_lost() > full {
        return Err(Error::other("the ring had no room for its walk"));
    }
    Ok(None)
}
