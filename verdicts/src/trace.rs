//! A trace of the model, step by step, with the live verdicts at each walk's end:
//! what the probes would have captured, judged as a live sample is.

use std::io::{self, Read};

use estimator::{
    Estimator, Flag, Flags, Judgement, Verdict, judge_all,
    trace::{Capture, Event, read},
};
use serde_json::{Map, Value, json};

use crate::report;

/// A trace is a few dozen lines; a file beyond this is none.
const MOST_BYTES: u64 = 1 << 20;

/// A trace, judged.
#[derive(Debug)]
pub struct Trace(Vec<Step>);

/// Why a file is no trace.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// It cannot be read.
    #[error("cannot be read")]
    Io(#[from] io::Error),
    /// What is wrong with it.
    #[error("{0}")]
    Refused(String),
}

impl Trace {
    /// Reads and judges one.
    ///
    /// # Errors
    ///
    /// What is wrong with it; nothing of it is used then.
    pub fn read(input: impl Read) -> Result<Self, TraceError> {
        let mut bytes = Vec::new();
        input.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MOST_BYTES {
            let why = format!("more than {MOST_BYTES} bytes of text");
            return Err(TraceError::Refused(why));
        }
        let text = String::from_utf8(bytes)
            .map_err(|_| TraceError::Refused("neither a recording nor a trace".to_owned()))?;
        steps(&text).map(Self).map_err(TraceError::Refused)
    }

    /// Each event with its verdicts, for people.
    #[must_use]
    pub fn text(&self) -> String {
        as_text(&self.0)
    }

    /// The same for programs.
    #[must_use]
    pub fn json(&self) -> Value {
        as_json(&self.0)
    }
}

/// An event and, where it ends a walk, what each estimator makes of the sample.
#[derive(Debug)]
struct Step {
    event: Event,
    judged: Option<[Judgement; Estimator::COUNT]>,
}

fn steps(text: &str) -> Result<Vec<Step>, String> {
    let mut state: Option<(Capture, Flags)> = None;
    let mut steps = Vec::new();
    for event in read(text) {
        let event = event.map_err(|error| error.to_string())?;
        if let Event::Page(page) = event {
            state = Some((Capture::new(page), flags(page.flag)));
        }
        let Some((capture, flags)) = &mut state else {
            return Err("the first event must be the page".to_owned());
        };
        let judged = capture.see(event).map(|seen| {
            let (judged, after) = judge_all(*flags, &seen);
            *flags = after;
            judged
        });
        steps.push(Step { event, judged });
    }
    if steps.is_empty() {
        return Err("a trace without an event".to_owned());
    }
    Ok(steps)
}

fn flags(set: bool) -> Flags {
    let flag = if set { Flag::Set } else { Flag::Clear };
    Estimator::ALL
        .into_iter()
        .fold(Flags::CLEAR, |flags, it| flags.with(it, flag))
}

fn as_text(steps: &[Step]) -> String {
    let mut lines = Vec::new();
    for step in steps {
        lines.push(step.event.to_string());
        for (estimator, judged) in Estimator::ALL.iter().zip(step.judged.iter().flatten()) {
            let verdict = verdict(judged.verdict);
            let how = report::steps(judged).join(", ");
            lines.push(format!("    {:<16}{verdict:<24}{how}", estimator.name()));
        }
    }
    lines.join("\n")
}

fn as_json(steps: &[Step]) -> Value {
    let one = |step: &Step| {
        let verdicts: Option<Map<String, Value>> = step.judged.as_ref().map(|judged| {
            Estimator::ALL
                .iter()
                .zip(judged)
                .map(|(estimator, it)| {
                    let value = json!({"verdict": verdict(it.verdict), "steps": report::steps(it)});
                    (estimator.name().to_owned(), value)
                })
                .collect()
        });
        match verdicts {
            Some(verdicts) => json!({"event": step.event.to_string(), "verdicts": verdicts}),
            None => json!({"event": step.event.to_string()}),
        }
    };
    steps.iter().map(one).collect()
}

fn verdict(verdict: Verdict) -> String {
    match verdict {
        Verdict::Uncertain(doubt) => format!("uncertain ({})", doubt.name()),
        Verdict::Pinned | Verdict::NotPinned => verdict.outcome().name().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZAP: &str = "pinscope-trace 1
page shared 1 private 0 pins 1 flag set pin bias
mkclean reads the combined count: 2
mkclean passes entry 0: present, counted
mkclean ends its walk: 1
mkclean reads the flag: set
zap clears entry 0
zap marks entry 0: 2
zap decrements the mapcount for entry 0
mkclean reads the combined count: 1
mkclean passes entry 0: marker, counted
mkclean ends its walk: 1
mkclean clears the flag
mkclean says: not_pinned
";

    #[test]
    fn the_false_negative_of_the_model_is_the_verdict_of_the_replay() {
        let steps = steps(ZAP).unwrap();
        let judged = steps.last().and_then(|it| it.judged.as_ref()).unwrap();
        assert_eq!(
            judged[Estimator::TwoWalk as usize].verdict,
            Verdict::NotPinned
        );
        assert_eq!(judged[Estimator::Kernel as usize].verdict, Verdict::Pinned);
    }

    #[test]
    fn a_trace_that_begins_without_its_page_is_refused() {
        assert!(steps("pinscope-trace 1\nput\n").is_err());
        assert!(steps("pinscope-trace 1\n").is_err());
        let wrong = steps(&ZAP.replace("zap clears", "zap eats")).map(|_| ());
        assert_eq!(wrong, Err("line 7: not an event of a trace".to_owned()));
    }
}
