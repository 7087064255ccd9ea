//! What an owner is told to do next, as it stands in a script: `A+`, `B-`, `A>B`. Pure.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, bail};

/// Owners by name; the child of one has the same letter, small.
const NAMES: &str = "ABCabc";

/// One owner's next act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// Who.
    pub(crate) owner: char,
    /// What.
    pub(crate) act: Act,
}

/// What an owner can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// `+`: pins the pages as the fixed buffer of a new ring.
    Pin,
    /// `=`: pins the pages as the fixed buffer of a new ring, lets a further one with two places take it
    /// over, and closes the first (Linux 6.12).
    PinAndClone,
    /// `%`: pins the pages by a dma-buf, which has no owner but who made it, and is closed and passed on
    /// like a ring.
    PinByDmaBuf,
    /// `^`: pins the pages as a further buffer of the ring that it came to last, which has two places.
    PinAnother,
    /// `0`: empties the first place of that ring.
    Empty,
    /// `-`: releases the buffer of the ring that it came to last, of those that still have one.
    Release,
    /// `x`: closes the ring that it came to last.
    Close,
    /// `>B`: hands that ring over, and has it no longer.
    Pass(char),
    /// `&`: forks a child, which has all of its rings, too.
    Fork,
    /// `~`: releases the buffer of the ring that it came to first, while a request of its own uses
    /// it, and then ends that.
    ReleaseInFlight,
    /// `!`: ends.
    End,
}

impl FromStr for Step {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let mut letters = text.chars();
        let owner = letters.next().and_then(name);
        let owner = owner.with_context(|| format!("{text} does not begin with A, B or C"))?;
        let act = match letters.as_str() {
            "+" => Act::Pin,
            "=" => Act::PinAndClone,
            "%" => Act::PinByDmaBuf,
            "^" => Act::PinAnother,
            "0" => Act::Empty,
            "-" => Act::Release,
            "x" => Act::Close,
            "&" if owner.is_ascii_uppercase() => Act::Fork,
            "~" => Act::ReleaseInFlight,
            "!" => Act::End,
            rest => match rest.strip_prefix('>').and_then(|to| to.parse().ok()) {
                Some(to) if name(to).is_some() && to != owner => Act::Pass(to),
                _ => {
                    bail!("{text} is no step such as A+, A-, A=, A%, A^, A0, Ax, A>B, A&, A~ or A!")
                }
            },
        };
        Ok(Self { owner, act })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.owner)?;
        match self.act {
            Act::Pin => write!(f, "+"),
            Act::PinAndClone => write!(f, "="),
            Act::PinByDmaBuf => write!(f, "%"),
            Act::PinAnother => write!(f, "^"),
            Act::Empty => write!(f, "0"),
            Act::Release => write!(f, "-"),
            Act::Close => write!(f, "x"),
            Act::Pass(to) => write!(f, ">{to}"),
            Act::Fork => write!(f, "&"),
            Act::ReleaseInFlight => write!(f, "~"),
            Act::End => write!(f, "!"),
        }
    }
}

fn name(letter: char) -> Option<char> {
    NAMES.contains(letter).then_some(letter)
}

#[cfg(test)]
mod tests {
    use super::{Act, Step};

    #[test]
    fn a_step_is_an_owner_and_an_act() {
        for (text, owner, act) in [
            ("A+", 'A', Act::Pin),
            ("A=", 'A', Act::PinAndClone),
            ("C%", 'C', Act::PinByDmaBuf),
            ("a^", 'a', Act::PinAnother),
            ("B0", 'B', Act::Empty),
            ("b-", 'b', Act::Release),
            ("Cx", 'C', Act::Close),
            ("A>B", 'A', Act::Pass('B')),
            ("B>a", 'B', Act::Pass('a')),
            ("A&", 'A', Act::Fork),
            ("a~", 'a', Act::ReleaseInFlight),
            ("C!", 'C', Act::End),
        ] {
            let step = Step { owner, act };
            assert_eq!(text.parse::<Step>().unwrap(), step);
            assert_eq!(step.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_step_is_refused_by_name() {
        for text in ["", "A", "D+", "A?", "A>A", "A>D", "A>", "a&", "A+B", "A>BC"] {
            let told = text.parse::<Step>().unwrap_err().to_string();
            assert!(told.starts_with(text), "{told}");
        }
    }
}
