//! Sizes and times for people.

/// Bytes with a unit, exact where it is a whole number of it.
pub(super) fn bytes(bytes: f64) -> String {
    const UNITS: [(&str, u64); 4] = [
        ("TiB", 1 << 40),
        ("GiB", 1 << 30),
        ("MiB", 1 << 20),
        ("KiB", 1 << 10),
    ];
    let whole = bytes.round() as u64;
    let Some((unit, size)) = UNITS.iter().find(|(_, size)| whole >= *size) else {
        return format!("{whole} B");
    };
    if whole.is_multiple_of(*size) {
        format!("{} {unit}", whole / size)
    } else {
        format!("{:.1} {unit}", bytes / *size as f64)
    }
}

/// An age: two units at most.
pub(super) fn age(seconds: f64) -> String {
    let whole = seconds as u64;
    match whole {
        0 => format!("{:.0}ms", seconds * 1e3),
        1..60 => format!("{seconds:.1}s"),
        60..3_600 => format!("{}m{:02}s", whole / 60, whole % 60),
        3_600..86_400 => format!("{}h{:02}m", whole / 3_600, whole / 60 % 60),
        _ => format!("{}d{:02}h", whole / 86_400, whole / 3_600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_ages_are_short() {
        assert_eq!(bytes(f64::from(1 << 21)), "2 MiB");
        assert_eq!(bytes(6_000_000.0), "5.7 MiB");
        assert_eq!(bytes(0.0), "0 B");
        assert_eq!(age(0.25), "250ms");
        assert_eq!(age(75.0), "1m15s");
        assert_eq!(age(90_000.0), "1d01h");
    }
}
