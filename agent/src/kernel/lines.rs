//! The kernel's long lists, a line at a time: they are of megabytes, and most of it is not wanted.

use std::io::{self, BufRead as _, BufReader, Read};

/// Bytes that are read at once: the kernel makes a page at a time, whatever is asked for.
const AT_ONCE: usize = 64 << 10;

/// Tells of each line, without its end.
pub(super) fn for_each(list: impl Read, mut tell: impl FnMut(&[u8])) -> io::Result<()> {
    let mut list = BufReader::with_capacity(AT_ONCE, list);
    let mut line = Vec::new();
    while list.read_until(b'\n', &mut line)? > 0 {
        tell(line.strip_suffix(b"\n").unwrap_or(&line));
        line.clear();
    }
    Ok(())
}
