//! The small languages of the lab's options: sizes, copies, fetches; leaves out disks.

use std::{path::PathBuf, str::FromStr};

use anyhow::{Context as _, ensure};

/// A size with an optional K, M or G, in bytes.
pub(crate) fn size(text: &str) -> anyhow::Result<u64> {
    let (digits, shift) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (&text[..at], 10),
        Some((at, 'm' | 'M')) => (&text[..at], 20),
        Some((at, 'g' | 'G')) => (&text[..at], 30),
        _ => (text, 0),
    };
    let number: u64 = digits
        .parse()
        .ok()
        .with_context(|| format!("{text} is no size such as 512M or 2G"))?;
    ensure!(number > 0, "a size of nothing");
    number
        .checked_mul(1 << shift)
        .with_context(|| format!("{text} is too large"))
}

/// What goes into the guest, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Copy {
    pub(crate) host: PathBuf,
    /// Absolute.
    pub(crate) guest: String,
}

impl FromStr for Copy {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (host, guest) = match text.split_once(':') {
            Some((host, guest)) => (PathBuf::from(host), Some(guest.to_owned())),
            None => (PathBuf::from(text), None),
        };
        let guest = match guest {
            Some(guest) => guest,
            None => {
                let name = host.file_name().and_then(|name| name.to_str());
                format!(
                    "/root/{}",
                    name.with_context(|| format!("{text} has no file name"))?
                )
            }
        };
        ensure!(
            guest.starts_with('/'),
            "{guest} is no absolute path in the guest"
        );
        ensure!(host.exists(), "{} does not exist", host.display());
        Ok(Self { host, guest })
    }
}

/// What comes back from the guest, and where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fetch {
    /// Absolute.
    pub(crate) guest: String,
    pub(crate) host: PathBuf,
}

impl FromStr for Fetch {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (guest, host) = text
            .split_once(':')
            .with_context(|| format!("{text} is no GUEST:HOST"))?;
        ensure!(
            guest.starts_with('/'),
            "{guest} is no absolute path in the guest"
        );
        ensure!(
            !guest.trim_matches('/').is_empty(),
            "the whole guest cannot be fetched"
        );
        ensure!(!host.is_empty(), "{text} names no place on the host");
        Ok(Self {
            guest: guest.to_owned(),
            host: host.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_bytes_unless_a_letter_says_more() {
        assert_eq!(size("4096").unwrap(), 4096);
        assert_eq!(size("64k").unwrap(), 64 << 10);
        assert_eq!(size("512M").unwrap(), 512 << 20);
        assert_eq!(size("2G").unwrap(), 2 << 30);
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "G", "0", "0M", "-1", "1.5G", "1T", "99999999999G"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_copy_without_a_place_lies_in_roots_home() {
        let copy: Copy = "/etc/passwd".parse().unwrap();
        assert_eq!(copy.guest, "/root/passwd");
        let copy: Copy = "/etc/passwd:/etc/users".parse().unwrap();
        assert_eq!(
            (copy.host.to_str(), copy.guest.as_str()),
            (Some("/etc/passwd"), "/etc/users")
        );
    }

    #[test]
    fn a_copy_of_nothing_or_to_nowhere_is_refused() {
        assert!("/no/such/file".parse::<Copy>().is_err());
        assert!("/etc/passwd:users".parse::<Copy>().is_err());
    }

    #[test]
    fn a_fetch_needs_both_its_ends() {
        let fetch: Fetch = "/tmp/out:result".parse().unwrap();
        assert_eq!(
            (fetch.guest.as_str(), fetch.host.to_str()),
            ("/tmp/out", Some("result"))
        );
        for text in ["/tmp/out", "/tmp/out:", "out:result", "/:result"] {
            assert!(text.parse::<Fetch>().is_err(), "{text}");
        }
    }
}
