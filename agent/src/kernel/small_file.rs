//! The bytes of a regular file that an operator wrote. Anything else that can be opened might never
//! end, or be gone the next time.

use std::{
    fs::File,
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

/// Reads it, if it has no more bytes than that.
pub(crate) fn read(path: &Path, most_bytes: u64) -> io::Result<Vec<u8>> {
    let file = File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    file.take(most_bytes + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > most_bytes {
        true => {
            let kib = most_bytes >> 10;
            Err(io::Error::other(format!("it has more than {kib} KiB")))
        }
        false => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_no_regular_file_or_too_large_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let (large, full) = (folder.path().join("large"), folder.path().join("full"));
        fs::write(&large, [b'#'; 4097]).unwrap();
        fs::write(&full, [b'#'; 4096]).unwrap();
        assert_eq!(read(&full, 4096).unwrap().len(), 4096);
        for (path, why) in [
            (folder.path(), "no regular file"),
            (Path::new("/dev/zero"), "no regular file"),
            (large.as_path(), "more than 4 KiB"),
        ] {
            assert!(read(path, 4096).unwrap_err().to_string().contains(why));
        }
    }
}
