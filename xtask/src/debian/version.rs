//! Debian's order of package versions (deb-version(7)); leaves out whether a version is well-formed.

use std::cmp::Ordering;

/// Which of two versions is the newer.
pub(crate) fn compare(a: &str, b: &str) -> Ordering {
    let (a_epoch, a) = epoch(a);
    let (b_epoch, b) = epoch(b);
    let (a_upstream, a_revision) = a.rsplit_once('-').unwrap_or((a, ""));
    let (b_upstream, b_revision) = b.rsplit_once('-').unwrap_or((b, ""));
    a_epoch
        .cmp(&b_epoch)
        .then_with(|| part(a_upstream, b_upstream))
        .then_with(|| part(a_revision, b_revision))
}

fn epoch(version: &str) -> (u64, &str) {
    version
        .split_once(':')
        .and_then(|(epoch, rest)| Some((epoch.parse().ok()?, rest)))
        .unwrap_or((0, version))
}

/// Runs of other characters and runs of digits in turn, until one differs.
fn part(mut a: &str, mut b: &str) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        let (a_text, a_rest) = split(a, |c| !c.is_ascii_digit());
        let (b_text, b_rest) = split(b, |c| !c.is_ascii_digit());
        let (a_digits, a_next) = split(a_rest, |c| c.is_ascii_digit());
        let (b_digits, b_next) = split(b_rest, |c| c.is_ascii_digit());
        let order = text(a_text, b_text).then_with(|| number(a_digits).cmp(&number(b_digits)));
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (a_next, b_next);
    }
    Ordering::Equal
}

fn split(text: &str, keep: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !keep(c)).unwrap_or(text.len()))
}

fn number(digits: &str) -> u64 {
    digits.parse().unwrap_or(0)
}

/// A tilde sorts before the end, letters before other characters.
fn text(a: &str, b: &str) -> Ordering {
    let rank = |c: Option<char>| match c {
        Some('~') => -1,
        None => 0,
        Some(c) if c.is_ascii_alphabetic() => i64::from(u32::from(c)),
        Some(c) => i64::from(u32::from(c)) + 0x1000,
    };
    let (mut a, mut b) = (a.chars(), b.chars());
    loop {
        let (x, y) = (a.next(), b.next());
        let order = rank(x).cmp(&rank(y));
        if order != Ordering::Equal || (x.is_none() && y.is_none()) {
            return order;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::compare;

    #[test]
    fn every_version_is_newer_than_the_one_before_it() {
        let rising = [
            "5.10.209-2",
            "5.10.226-1",
            "6.1.172-1",
            "6.12.9-1",
            "6.12.90-1~bpo12+1",
            "6.12.90-1",
            "6.12.90-2",
            "6.12.90.1-1",
            "6.12.107-1",
            "7.3.4-1~bpo13+1",
            "1:1.0-1",
        ];
        for pair in rising.windows(2) {
            assert!(
                compare(pair[0], pair[1]).is_lt(),
                "{} < {}",
                pair[0],
                pair[1]
            );
            assert!(
                compare(pair[1], pair[0]).is_gt(),
                "{} > {}",
                pair[1],
                pair[0]
            );
        }
    }

    #[test]
    fn leading_zeros_do_not_count() {
        assert!(compare("1.02-1", "1.2-1").is_eq());
    }
}
