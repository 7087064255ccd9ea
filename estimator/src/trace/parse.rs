//! A line of a trace, read back.

use core::fmt;
use core::str::FromStr;

use super::event::{Counter, Event, GupStep, Met, Page, Pin, ZapStep};
use crate::Outcome;

/// The first line of every trace; a reader refuses another version.
pub const TRACE_HEADER: &str = "pinscope-trace 1";

/// A line that is no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAnEvent;

impl fmt::Display for NotAnEvent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("not an event of a trace")
    }
}

impl core::error::Error for NotAnEvent {}

/// Why a text is no trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadTrace {
    /// It does not begin with [`TRACE_HEADER`].
    Header,
    /// This line, counted from 1, is no event.
    Line(usize),
}

impl fmt::Display for BadTrace {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header => write!(out, "no trace: expected `{TRACE_HEADER}`"),
            Self::Line(number) => write!(out, "line {number}: {NotAnEvent}"),
        }
    }
}

impl core::error::Error for BadTrace {}

/// The events of a text, one a line. Empty lines, and those that begin with `#`, are skipped.
pub fn read(text: &str) -> impl Iterator<Item = Result<Event, BadTrace>> {
    let mut lines = text
        .lines()
        .zip(1..)
        .map(|(line, number)| (line.trim(), number))
        .filter(|(line, _)| !line.is_empty() && !line.starts_with('#'));
    let refused = match lines.next() {
        Some((TRACE_HEADER, _)) => None,
        _ => Some(Err(BadTrace::Header)),
    };
    let events =
        lines.map(|(line, number)| line.parse().map_err(|NotAnEvent| BadTrace::Line(number)));
    refused.into_iter().chain(events)
}

impl FromStr for Event {
    type Err = NotAnEvent;

    fn from_str(line: &str) -> Result<Self, NotAnEvent> {
        parse(line.trim()).ok_or(NotAnEvent)
    }
}

fn parse(line: &str) -> Option<Event> {
    let (actor, rest) = line.split_once(' ').unwrap_or((line, ""));
    match (actor, rest) {
        ("put", "") => Some(Event::Put),
        ("page", _) => parse_page(rest),
        ("mkclean", _) => parse_mkclean(rest),
        ("zap", _) => parse_zap(rest),
        ("gup", _) => {
            let (step, entry) = rest.split_once(" entry ")?;
            let step = GupStep::ALL.into_iter().find(|it| it.name() == step)?;
            Some(Event::Gup(entry.parse().ok()?, step))
        }
        _ => None,
    }
}

fn parse_page(rest: &str) -> Option<Event> {
    let mut words = rest.split(' ');
    let mut after = |key: &str| (words.next()? == key).then(|| words.next())?;
    let page = Page {
        shared: after("shared")?.parse().ok()?,
        private: after("private")?.parse().ok()?,
        pins: after("pins")?.parse().ok()?,
        flag: parse_set(after("flag")?)?,
        pin: {
            let name = after("pin")?;
            Pin::ALL.into_iter().find(|it| it.name() == name)?
        },
    };
    words.next().is_none().then_some(Event::Page(page))
}

fn parse_mkclean(rest: &str) -> Option<Event> {
    match rest {
        "enters again" => return Some(Event::Enter),
        "sets the flag" => return Some(Event::PutFlag(true)),
        "clears the flag" => return Some(Event::PutFlag(false)),
        _ => {}
    }
    let (what, value) = rest.split_once(": ")?;
    match what {
        "reads the flag" => return Some(Event::ReadFlag(parse_set(value)?)),
        "takes the flag" => return Some(Event::TakeFlag(parse_set(value)?)),
        "ends its walk" => return Some(Event::EndWalk(value.parse().ok()?)),
        "says" => {
            return Outcome::ALL
                .into_iter()
                .find(|it| it.name() == value)
                .map(Event::Says);
        }
        _ => {}
    }
    if let Some(entry) = what.strip_prefix("passes entry ") {
        let met = Met::ALL.into_iter().find(|it| it.name() == value)?;
        return Some(Event::Pass(entry.parse().ok()?, met));
    }
    let counter = what.strip_prefix("reads ")?;
    let counter = Counter::ALL.into_iter().find(|it| it.name() == counter)?;
    Some(Event::Read(counter, value.parse().ok()?))
}

fn parse_zap(rest: &str) -> Option<Event> {
    let (step, entry) = rest.split_once(" entry ")?;
    if let ("marks", Some((entry, count))) = (step, entry.split_once(": ")) {
        return Some(Event::Zap(
            entry.parse().ok()?,
            ZapStep::Mark(count.parse().ok()?),
        ));
    }
    let step = ZapStep::PLAIN.into_iter().find(|it| it.name() == step)?;
    Some(Event::Zap(entry.parse().ok()?, step))
}

fn parse_set(word: &str) -> Option<bool> {
    match word {
        "set" => Some(true),
        "clear" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    #[test]
    fn every_event_is_read_back_as_it_was_written() {
        let page = Page {
            shared: 2,
            private: 1,
            pins: 1,
            flag: true,
            pin: Pin::Bias,
        };
        let mut events = std::vec![
            Event::Page(page),
            Event::Enter,
            Event::ReadFlag(true),
            Event::TakeFlag(false),
            Event::PutFlag(true),
            Event::PutFlag(false),
            Event::EndWalk(3),
            Event::Zap(1, ZapStep::Mark(2)),
            Event::Put,
        ];
        events.extend(Counter::ALL.map(|it| Event::Read(it, -1)));
        events.extend(Met::ALL.map(|it| Event::Pass(2, it)));
        events.extend(Outcome::ALL.map(Event::Says));
        events.extend(ZapStep::PLAIN.map(|it| Event::Zap(0, it)));
        events.extend(GupStep::ALL.map(|it| Event::Gup(1, it)));
        for event in events {
            assert_eq!(event.to_string().parse(), Ok(event), "{event}");
        }
    }

    #[test]
    fn other_lines_are_refused() {
        for line in [
            "",
            "put it",
            "zap marks entry 0",
            "mkclean passes entry x: marker, wiped",
        ] {
            assert_eq!(line.parse::<Event>(), Err(NotAnEvent), "{line}");
        }
    }

    #[test]
    fn damaged_trace_names_its_line_and_another_version_is_refused() {
        let text = "# by hand\npinscope-trace 1\n\nput\npit\nput\n";
        let events: std::vec::Vec<_> = read(text).collect();
        assert_eq!(
            events,
            [Ok(Event::Put), Err(BadTrace::Line(5)), Ok(Event::Put)]
        );
        assert_eq!(
            read("pinscope-trace 2\n").next(),
            Some(Err(BadTrace::Header))
        );
    }
}
