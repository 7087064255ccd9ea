//! How it stands, in the line that a service manager shows.

use super::units::bytes;
use crate::collect::Snapshot;

/// What is pinned, and what an operator should look into.
pub(crate) fn line(now: &Snapshot) -> String {
    Standing {
        bytes: now.book.bytes.value,
        pins: now.outstanding.pins,
        suspects: now.suspects.values().sum(),
        unreconciled: now.balance.difference,
        silent: now.silent.len(),
    }
    .line()
}

struct Standing {
    bytes: f64,
    pins: u64,
    suspects: usize,
    unreconciled: i64,
    silent: usize,
}

impl Standing {
    fn line(&self) -> String {
        let mut parts = vec![format!(
            "{} pinned by {} pins",
            bytes(self.bytes),
            self.pins
        )];
        for (count, what) in [
            (self.suspects as u64, "suspects of a leak"),
            (self.unreconciled.unsigned_abs(), "pins unreconciled"),
            (self.silent as u64, "hooks silent"),
        ] {
            if count > 0 {
                parts.push(format!("{count} {what}"));
            }
        }
        parts.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_beside_what_is_pinned_and_nothing_else() {
        let well = Standing {
            bytes: f64::from(2 << 20),
            pins: 512,
            suspects: 0,
            unreconciled: 0,
            silent: 0,
        };
        assert_eq!(well.line(), "2 MiB pinned by 512 pins");
        let ill = Standing {
            suspects: 1,
            unreconciled: -4,
            silent: 23,
            ..well
        };
        assert_eq!(
            ill.line(),
            "2 MiB pinned by 512 pins, 1 suspects of a leak, 4 pins unreconciled, 23 hooks silent"
        );
    }
}
