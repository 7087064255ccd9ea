//! Samples: out of the ring, to the judge, and into the recording if there is one.

use aya::maps::{MapData, RingBuf};
use log::{debug, warn};
use probe_abi::{MkcleanSample, folio_key, opened_at};
use verdicts::{Findings, Inputs, Judge, Losses, contradicts, lacks_pins, recording};

use crate::{
    collect::{
        auditor::Auditor,
        recorder::{Destination, Recorder},
    },
    error::AgentError,
    kernel::{attach::Armed, sys},
};

/// Samples that are judged together.
const BATCH: usize = 4096;

/// What samples come to.
pub(super) struct Judging {
    judge: Judge,
    recorder: Option<Recorder>,
    delivered: u64,
}

impl Judging {
    pub(super) fn new(folios: usize, inputs: Inputs) -> Self {
        Self {
            judge: Judge::new(folios, inputs),
            recorder: None,
            delivered: 0,
        }
    }

    /// From now on samples go into a recording, too.
    pub(super) fn record(
        &mut self,
        to: Destination,
        head: &recording::Head,
    ) -> Result<(), AgentError> {
        self.recorder = Some(Recorder::begin(to, head)?);
        Ok(())
    }

    /// A folio of which ledger and kernel say different things is to be audited.
    pub(super) fn judge(
        &mut self,
        sample: &MkcleanSample,
        auditor: &mut Auditor,
    ) -> Result<(), AgentError> {
        self.delivered += 1;
        self.judge.judge(sample);
        if contradicts(sample) || lacks_pins(sample) {
            auditor.suspect(folio_key(sample.folio));
        }
        self.recorded(|it| it.sample(sample))
    }

    /// Samples and pages that were lost so far, and until when walks went unseen; told if it is
    /// more than before.
    pub(super) fn tell(
        &mut self,
        samples: u64,
        pages: u64,
        armed: Armed,
    ) -> Result<(), AgentError> {
        let before = self.judge.losses();
        let until = if samples > before.samples {
            sys::since_boot()
        } else {
            armed.unseen_until
        };
        let losses = Losses {
            samples,
            pauses: armed.pauses,
            pages,
            at: opened_at(until.as_nanos() as u64),
        };
        let counted = |it: Losses| (it.samples, it.pauses, it.pages);
        if counted(losses) == counted(before) {
            return Ok(());
        }
        debug!("lost so far: {losses:?}");
        self.judge.lose(losses);
        self.recorded(|it| it.losses(losses))
    }

    /// What could not be written ends the recording.
    fn recorded(
        &mut self,
        write: impl FnOnce(&mut Recorder) -> Result<(), AgentError>,
    ) -> Result<(), AgentError> {
        let written = self.recorder.as_mut().map_or(Ok(()), write);
        if written.is_err() {
            self.recorder = None;
        }
        written
    }

    /// Samples that came.
    pub(super) const fn delivered(&self) -> u64 {
        self.delivered
    }

    pub(super) fn findings(&self) -> Findings {
        self.judge.findings()
    }

    /// Ends the recording, if there is one.
    pub(super) fn finish(&mut self) -> Result<(), AgentError> {
        match self.recorder.take() {
            Some(recorder) => recorder.finish(),
            None => Ok(()),
        }
    }
}

/// Some of what the ring holds; nothing where it is empty.
pub(super) fn batch(ring: &mut RingBuf<MapData>) -> Vec<MkcleanSample> {
    let mut samples = Vec::new();
    while samples.len() < BATCH
        && let Some(bytes) = ring.next()
    {
        match bytemuck::try_pod_read_unaligned::<MkcleanSample>(&bytes) {
            Ok(sample) => samples.push(sample),
            Err(error) => warn!("a sample of {} bytes: {error}", bytes.len()),
        }
    }
    samples
}
