//! What the values of options mean: times, sizes, page frames. A flag, a variable and a key of the
//! configuration file are read alike.

use std::{
    ops::{Range, RangeInclusive},
    time::Duration,
};

use log::LevelFilter;

/// A time like `30s`, `5m`, `1h 30m`, `500ms`; a bare number is seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let time = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => humantime::parse_duration(text)
            .map_err(|error| format!("{error}; expected a time like 30s, 5m or 1h 30m"))?,
    };
    match time.is_zero() {
        true => Err("it has to be longer than nothing".to_owned()),
        false => Ok(time),
    }
}

/// Page frames such as `0x100000..0x108000`.
pub(super) fn frames(text: &str) -> Result<Range<u64>, String> {
    let number = |text: &str| match text.trim().strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.trim().parse().ok(),
    };
    let ends = text.split_once("..");
    let ends = ends.and_then(|(first, end)| Some((number(first)?, number(end)?)));
    match ends {
        Some((first, end)) if first < end => Ok(first..end),
        Some(_) => Err("the second frame has to be behind the first".to_owned()),
        None => Err(format!(
            "`{text}` is not FRAME..FRAME, such as 0x100000..0x108000"
        )),
    }
}

pub(super) fn ring_bytes(text: &str) -> Result<u32, String> {
    let bytes: u32 = text
        .parse()
        .map_err(|_| format!("`{text}` is not a number of bytes"))?;
    if bytes.is_power_of_two() && (4096..=1 << 30).contains(&bytes) {
        Ok(bytes)
    } else {
        Err("the ring's size must be a power of two between 4096 and 1 GiB".to_owned())
    }
}

pub(super) fn ledger_folios(text: &str) -> Result<u32, String> {
    rounded(text, "folios", 64..=1 << 26)
}

pub(super) fn owners(text: &str) -> Result<u32, String> {
    rounded(text, "owners", 16..=1 << 16)
}

/// A number in this range, rounded up to a power of two.
fn rounded(text: &str, of: &str, range: RangeInclusive<u32>) -> Result<u32, String> {
    let number: u32 = text
        .parse()
        .map_err(|_| format!("`{text}` is not a number of {of}"))?;
    if range.contains(&number) {
        Ok(number.next_power_of_two())
    } else {
        let (least, most) = range.into_inner();
        Err(format!("there can be between {least} and {most} {of}"))
    }
}

/// What is logged, in the form of `RUST_LOG`.
pub(super) fn log_filter(text: &str) -> Result<String, String> {
    let refused = match env_filter::Builder::new().try_parse(text) {
        Ok(_) => misspelt_level(text).map(|it| format!("`{it}` is no level")),
        Err(error) => Some(error.to_string()),
    };
    match refused {
        None => Ok(text.to_owned()),
        Some(why) => Err(format!(
            "{why}; expected off, error, warn, info, debug, trace, or MODULE=LEVEL,..."
        )),
    }
}

/// A word that stands alone and is no level is taken for a module, all of which is logged, and nothing
/// else. One that no module of the agent is called was meant to be a level.
fn misspelt_level(text: &str) -> Option<&str> {
    let (directives, _pattern) = text.split_once('/').unwrap_or((text, ""));
    let mut words = directives.split(',').map(str::trim);
    words.find(|it| {
        let is_meant = it.is_empty() || it.contains('=') || it.starts_with("pinscope");
        !is_meant && it.parse::<LevelFilter>().is_err()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_units() {
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("2"), Ok(Duration::from_secs(2)));
        assert_eq!(duration("1h 30m"), Ok(Duration::from_secs(5400)));
        for wrong in [
            "",
            "s",
            "1 moment",
            "0s",
            "0",
            "-5",
            "99999999999999999999h",
        ] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn frames_are_told_in_either_notation() {
        assert_eq!(frames("16..32"), Ok(16..32));
        assert_eq!(frames("0x10..0x20"), Ok(16..32));
        for wrong in ["", "16", "16..16", "32..16", "a..b", "-1..2"] {
            assert!(frames(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_ring_that_the_kernel_would_refuse_is_refused_here() {
        assert_eq!(ring_bytes("4096"), Ok(4096));
        assert!(ring_bytes("4095").is_err());
        assert!(ring_bytes("0").is_err());
    }

    #[test]
    fn what_is_logged_is_read_as_rust_log_is() {
        for right in [
            "info",
            "warn,pinscope::collect=trace",
            "off",
            "Debug",
            "pinscope::collect",
            "warn,hyper=debug/connection",
        ] {
            assert_eq!(log_filter(right).as_deref(), Ok(right));
        }
        // Each would log nothing, or next to nothing, without a word.
        for wrong in [
            "pinscope=loud",
            "a=b=c",
            "inof",
            "warn,colector",
            "debug1/x",
        ] {
            assert!(log_filter(wrong).is_err(), "{wrong}");
        }
    }
}
