//! A pipe whose buffers are other people's pages: `vmsplice` puts references (`FOLL_GET`)
//! into it, and they last until the pipe is read. It pins nothing.

use std::io::{Error, PipeReader, PipeWriter, Read, pipe};
use std::os::fd::AsRawFd;

use anyhow::{Context, Result, ensure};

use super::mapping::Span;
use lab::page::page_bytes;

/// A pipe with room for a number of pages.
#[derive(Debug)]
pub(crate) struct PagePipe {
    reader: PipeReader,
    writer: PipeWriter,
}

impl PagePipe {
    /// Makes a pipe for `pages` pages.
    pub(crate) fn with_room_for(pages: usize) -> Result<Self> {
        let (reader, writer) = pipe().context("a pipe was refused")?;
        let wanted = libc::c_int::try_from(pages * page_bytes())?;
        // SAFETY: the call takes a number only.
        let room = unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_SETPIPE_SZ, wanted) };
        ensure!(
            room >= wanted,
            "a pipe for {pages} pages was refused: {} (see /proc/sys/fs/pipe-max-size)",
            Error::last_os_error()
        );
        Ok(Self { reader, writer })
    }

    /// References all pages of `span`.
    pub(crate) fn reference(&self, span: Span) -> Result<()> {
        let part = libc::iovec {
            iov_base: span.address as *mut libc::c_void,
            iov_len: span.length,
        };
        // SAFETY: the kernel checks the range; a pipe only ever reads it.
        let taken = unsafe { libc::vmsplice(self.writer.as_raw_fd(), &raw const part, 1, 0) };
        ensure!(taken >= 0, "vmsplice failed: {}", Error::last_os_error());
        ensure!(
            taken.cast_unsigned() == span.length,
            "vmsplice took {taken} of {} bytes",
            span.length
        );
        Ok(())
    }

    /// Reads `span`'s bytes out, which releases its references.
    pub(crate) fn release(&mut self, span: Span) -> Result<()> {
        let mut bytes = vec![0; span.length];
        self.reader
            .read_exact(&mut bytes)
            .context("the pipe cannot be read")
    }
}
