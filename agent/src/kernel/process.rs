//! `/proc/PID/stat`, as far as it tells one process from another.

/// Clock ticks of it a second: `USER_HZ`, the same everywhere.
pub(crate) const TICKS_A_SECOND: u64 = 100;

/// A process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    /// A letter.
    pub(crate) state: u8,
    /// Threads that it has, one that has ended and waits for the others included.
    pub(crate) threads: u32,
    /// When it began, in clock ticks after boot.
    pub(crate) start_ticks: u64,
}

impl Stat {
    /// Of the file's bytes. The name, in brackets, may hold anything.
    pub(crate) fn parse(stat: &[u8]) -> Option<Self> {
        let name_ends = stat.iter().rposition(|it| *it == b')')?;
        let rest = str::from_utf8(&stat[name_ends + 1..]).ok()?;
        let mut words = rest.split_ascii_whitespace();
        // Fields 3, 20 and 22.
        let state = *words.next()?.as_bytes().first()?;
        let threads = words.nth(16)?.parse().ok()?;
        let start_ticks = words.nth(1)?.parse().ok()?;
        Some(Self {
            state,
            threads,
            start_ticks,
        })
    }

    /// Whether all of it is over, and only not yet asked after: a first thread that has ended
    /// waits for the others.
    pub(crate) fn has_ended(self) -> bool {
        self.state == b'X' || self.state == b'Z' && self.threads <= 1
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
                threads: 1,
                start_ticks: 4321,
            };
            assert_eq!(Stat::parse(&stat.concat()), Some(expected));
        }
    }

    #[test]
    fn a_zombie_has_ended_unless_other_threads_of_it_run() {
        for (state, threads, ended) in [(b'Z', 1, true), (b'Z', 2, false), (b'S', 1, false)] {
            let stat = Stat {
                state,
                threads,
                start_ticks: 1,
            };
            assert_eq!(stat.has_ended(), ended);
        }
    }

    #[test]
    fn what_is_cut_off_is_no_process() {
        assert_eq!(Stat::parse(b"7 (a"), None);
        assert_eq!(Stat::parse(b"7 (a) S 1 7"), None);
    }

    #[test]
    fn fuzz_process_stat() {
        crate::fuzz::bytes(
            &[b"7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4321 0"],
            |it| {
                let _ = Stat::parse(it).map(Stat::has_ended);
            },
        );
    }
}
