//! What the self-test works on: memory and a file of the agent's own, and the
//! system calls that make the kernel take references on them. Leaves out what
//! the hooks saw of it.

use std::{
    env,
    ffi::c_void,
    fs::{File, OpenOptions},
    io::{self, Error},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    },
    path::PathBuf,
    ptr,
};

use memmap2::{Advice, Mmap, MmapMut, MmapOptions, UncheckedAdvice};
use rustix::{
    fs::{MemfdFlags, fstatfs, ftruncate, memfd_create},
    process::getpid,
};

use crate::kernel::sys::page_bytes;

/// Pages of a call: few enough for one call of the kernel's own, enough to be
/// told from nothing.
pub(super) const PAGES: usize = 16;

pub(super) fn bytes() -> usize {
    PAGES * page_bytes() as usize
}

/// Shared pages of a memfd: file pages, so that the ledger remembers them.
pub(super) fn file_pages() -> io::Result<MmapMut> {
    let file = memfd_create("pinscope-selftest", MemfdFlags::CLOEXEC)?;
    ftruncate(&file, bytes() as u64)?;
    let file = File::from(file);
    file.write_all_at(&vec![1; bytes()], 0)?;
    // SAFETY: nobody else has the file, so nobody truncates it.
    let mut pages = unsafe { MmapOptions::new().len(bytes()).map_mut(&file) }?;
    touch(&mut pages);
    Ok(pages)
}

/// Pages of no file.
pub(super) fn anonymous_pages() -> io::Result<MmapMut> {
    let mut pages = anonymous_memory()?;
    touch(&mut pages);
    Ok(pages)
}

/// One of them.
pub(super) fn anonymous_page() -> io::Result<MmapMut> {
    MmapOptions::new().len(page_bytes() as usize).map_anon()
}

/// The same before they are there, each of them a fault of its own.
pub(super) fn anonymous_memory() -> io::Result<MmapMut> {
    let pages = MmapOptions::new().len(bytes()).map_anon()?;
    // A kernel that does not know the advice has no larger pages.
    let _no_larger_pages = pages.advise(Advice::NoHugePage);
    Ok(pages)
}

/// Writes to every page, so that it is there and mapped.
pub(super) fn touch(pages: &mut [u8]) {
    for page in pages.chunks_mut(page_bytes() as usize) {
        page[0] = 2;
    }
}

/// Takes away the mappings of a file's shared pages; what was in them is there again
/// at the next look.
pub(super) fn unmap(pages: &MmapMut) -> io::Result<()> {
    // SAFETY: see above; private pages would be empty after it.
    unsafe { pages.unchecked_advise(UncheckedAdvice::DontNeed) }
}

/// Pins every page once for reading and releases it (`process_vm_readv` of our
/// own memory, which takes `FOLL_PIN` on every kernel).
pub(super) fn read_across(pages: &[u8]) -> io::Result<()> {
    let mut copy = vec![0u8; pages.len()];
    let local = vector(copy.as_mut_ptr().cast(), copy.len());
    let remote = vector(pages.as_ptr().cast_mut().cast(), pages.len());
    // SAFETY: both ranges are ours and live; the kernel writes to `copy` only.
    whole(
        unsafe { libc::process_vm_readv(me(), &raw const local, 1, &raw const remote, 1, 0) },
        pages.len(),
    )
}

/// The same for writing.
pub(super) fn write_across(pages: &mut [u8]) -> io::Result<()> {
    let copy = pages.to_vec();
    let local = vector(copy.as_ptr().cast_mut().cast(), copy.len());
    let remote = vector(pages.as_mut_ptr().cast(), pages.len());
    // SAFETY: both ranges are ours and live; the kernel writes to `pages` what is
    // in them already.
    whole(
        unsafe { libc::process_vm_writev(me(), &raw const local, 1, &raw const remote, 1, 0) },
        pages.len(),
    )
}

/// Reads the pages through `/proc/self/mem`: a plain reference on each in turn.
pub(super) fn read_by_address(pages: &[u8]) -> io::Result<()> {
    let mut copy = vec![0u8; pages.len()];
    File::open("/proc/self/mem")?.read_exact_at(&mut copy, pages.as_ptr() as u64)
}

/// Asks of each page on which node it lies, for which it is looked up.
pub(super) fn ask_for_nodes(pages: &[u8]) -> io::Result<()> {
    /// `MPOL_F_NODE | MPOL_F_ADDR`, include/uapi/linux/mempolicy.h.
    const NODE_OF_ADDRESS: libc::c_ulong = 3;
    for page in pages.chunks(page_bytes() as usize) {
        let mut node: libc::c_int = 0;
        // SAFETY: the kernel writes the number, and looks at the page only.
        let failed = unsafe {
            libc::syscall(
                libc::SYS_get_mempolicy,
                &raw mut node,
                ptr::null_mut::<libc::c_ulong>(),
                0,
                page.as_ptr(),
                NODE_OF_ADDRESS,
            )
        };
        if failed != 0 {
            return Err(Error::last_os_error());
        }
    }
    Ok(())
}

/// Puts plain references on the pages into a pipe, which is gone after that.
pub(super) fn splice(pages: &[u8]) -> io::Result<()> {
    spliced(pages).map(drop)
}

/// The same, and the pipe holds the references.
pub(super) fn spliced(pages: &[u8]) -> io::Result<[OwnedFd; 2]> {
    let (reader, writer) = io::pipe()?;
    let part = vector(pages.as_ptr().cast_mut().cast(), pages.len());
    // SAFETY: the range is ours and live; a pipe only ever reads it.
    let taken = unsafe {
        libc::vmsplice(
            writer.as_raw_fd(),
            &raw const part,
            1,
            libc::SPLICE_F_NONBLOCK,
        )
    };
    whole(taken, pages.len())?;
    Ok([reader.into(), writer.into()])
}

/// Reads as many bytes from the beginning of a file that is open for direct I/O.
pub(super) fn read_directly(from: &File, into: &mut [u8]) -> io::Result<()> {
    from.read_exact_at(into, 0)
}

/// A file on a disk whose direct reads go to a block device.
pub(super) struct OnDisk {
    pub(super) file: File,
    pub(super) direct: Option<File>,
}

impl OnDisk {
    /// A file without a name, written, where temporary files are: `$TMPDIR`, or
    /// `/var/tmp`.
    pub(super) fn make() -> io::Result<Self> {
        let mut refused = Error::other("no directory for temporary files is on a disk");
        for directory in [
            env::var_os("TMPDIR").map(PathBuf::from),
            Some("/var/tmp".into()),
        ] {
            let Some(directory) = directory else {
                continue;
            };
            let made = OpenOptions::new()
                .read(true)
                .write(true)
                .custom_flags(libc::O_TMPFILE)
                .open(directory);
            match made {
                Ok(file) if is_on_a_disk(&file) => {
                    file.write_all_at(&vec![1; bytes()], 0)?;
                    write_back(&file)?;
                    let direct = reopen_directly(&file);
                    return Ok(Self { file, direct });
                }
                Ok(_) => {}
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }

    /// The file's first page, shared.
    pub(super) fn first_page(&self) -> io::Result<MmapMut> {
        // SAFETY: the file has no name, so nobody else truncates it.
        unsafe {
            MmapOptions::new()
                .len(page_bytes() as usize)
                .map_mut(&self.file)
        }
    }

    pub(super) fn inode(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.ino())
    }
}

/// The program's own file, for direct reads.
pub(super) fn program() -> Option<File> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_DIRECT)
        .open("/proc/self/exe")
        .ok()?;
    is_on_a_disk(&file).then_some(file)
}

fn reopen_directly(file: &File) -> Option<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_DIRECT)
        .open(format!("/proc/self/fd/{}", file.as_raw_fd()))
        .ok()
}

fn is_on_a_disk(file: &File) -> bool {
    // ext4, xfs, btrfs: include/uapi/linux/magic.h.
    const MAGIC: [i64; 3] = [0xef53, 0x5846_5342, 0x9123_683e];
    fstatfs(file.as_fd()).is_ok_and(|it| MAGIC.contains(&it.f_type))
}

/// Has the file's dirty pages cleaned, and waits for them. Not for the file
/// system's journal, which others may keep busy.
pub(super) fn write_back(file: &File) -> io::Result<()> {
    const ALL: libc::c_uint = libc::SYNC_FILE_RANGE_WAIT_BEFORE
        | libc::SYNC_FILE_RANGE_WRITE
        | libc::SYNC_FILE_RANGE_WAIT_AFTER;
    // SAFETY: the call takes numbers only.
    let failed = unsafe { libc::sync_file_range(file.as_raw_fd(), 0, 0, ALL) };
    if failed == 0 {
        Ok(())
    } else {
        Err(Error::last_os_error())
    }
}

/// So many anonymous pages that were only ever read: the zero page, many times.
pub(super) fn zero_pages(number: usize) -> io::Result<Mmap> {
    let pages = MmapOptions::new()
        .len(number * page_bytes() as usize)
        .map_anon()?
        .make_read_only()?;
    let _no_larger_pages = pages.advise(Advice::NoHugePage);
    for page in pages.chunks(page_bytes() as usize) {
        std::hint::black_box(page[0]);
    }
    Ok(pages)
}

fn vector(at: *mut c_void, length: usize) -> libc::iovec {
    libc::iovec {
        iov_base: at,
        iov_len: length,
    }
}

fn me() -> libc::pid_t {
    getpid().as_raw_nonzero().get()
}

/// Nothing less than everything is what a test can reckon with.
fn whole(done: isize, wanted: usize) -> io::Result<()> {
    match usize::try_from(done) {
        Ok(done) if done == wanted => Ok(()),
        Ok(done) => Err(Error::other(format!("{done} of {wanted} bytes were done"))),
        Err(_) => Err(Error::last_os_error()),
    }
}
