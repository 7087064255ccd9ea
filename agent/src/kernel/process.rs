//! `/proc/PID/stat`, as far as it tells one process from another.

/// Clock ticks of it a second: `USER_HZ`, the same everywhere.
pub(crate) const TICKS_A_SECOND: u64 = 100;

/// A process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    /// A letter.
    pub(crate) state: u8,
    /// When it began, in clock ticks after boot.
    pub(crate) start_ticks: u64,
}

impl Stat {
    /// Of the file's bytes. The name, in brackets, may hold anything.
    pub(crate) fn parse(stat: &[u8]) -> Option<Self> {
        let name_ends = stat.iter().rposition(|it| *it == b')')?;
        let rest = str::from_utf8(&stat[name_ends + 1..]).ok()?;
        let mut words = rest.split_whitespace();
        let state = *words.next()?.as_bytes().first()?;
        // Field 22; the state is field 3.
        let start_ticks = words.nth(18)?.parse().ok()?;
        Some(Self { state, start_ticks })
    }

    /// Whether it is over, and only not yet asked after.
    pub(crate) fn has_ended(self) -> bool {
        [b'Z', b'X'].contains(&self.state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_is_found_whatever_the_process_is_called() {
        for name in [&b"a) b (c"[..], b"\xff\xfe"] {
            let stat = [
                b"7 (",
                name,
                b") S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4321 0",
            ];
            let expected = Stat {
                state: b'S',
                start_ticks: 4321,
            };
            assert_eq!(Stat::parse(&stat.concat()), Some(expected));
        }
    }

    #[test]
    fn what_is_cut_off_is_no_process() {
        assert_eq!(Stat::parse(b"7 (a"), None);
        assert_eq!(Stat::parse(b"7 (a) S 1 7"), None);
    }
}
