//! Names that the kernel ends with a zero.

/// What comes before it.
pub(super) fn until_zero(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|it| *it == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}
