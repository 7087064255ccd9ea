//! Writes the guest's root file system as an uncompressed cpio archive; leaves out what is to be in it.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, BufWriter, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use anyhow::Context as _;
use cpio::newc::{Builder, ModeFileType, trailer};

/// An archive that is being written.
pub(crate) struct Initramfs {
    out: BufWriter<File>,
    folders: BTreeSet<String>,
    files: BTreeSet<String>,
}

impl Initramfs {
    /// An empty archive at `path`.
    pub(crate) fn create(path: &Path) -> anyhow::Result<Self> {
        let file =
            File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self {
            out: BufWriter::new(file),
            folders: BTreeSet::new(),
            files: BTreeSet::new(),
        })
    }

    /// A folder and those above it.
    pub(crate) fn folder(&mut self, place: &str) -> anyhow::Result<()> {
        let mut so_far = String::new();
        for part in place.split('/').filter(|part| !part.is_empty()) {
            if !so_far.is_empty() {
                so_far.push('/');
            }
            so_far.push_str(part);
            if self.folders.insert(so_far.clone()) {
                self.entry(&so_far, ModeFileType::Directory, 0o755, &mut io::empty(), 0)?;
            }
        }
        Ok(())
    }

    /// Whether a file or a link lies at this place already.
    pub(crate) fn has(&self, place: &str) -> bool {
        self.files.contains(place.trim_start_matches('/'))
    }

    /// A file with this content.
    pub(crate) fn file(&mut self, place: &str, mode: u32, content: &[u8]) -> anyhow::Result<()> {
        self.within(place)?;
        self.entry(
            place,
            ModeFileType::Regular,
            mode,
            &mut &*content,
            content.len() as u64,
        )
    }

    /// A symbolic link.
    pub(crate) fn link(&mut self, place: &str, to: &str) -> anyhow::Result<()> {
        self.within(place)?;
        self.entry(
            place,
            ModeFileType::Symlink,
            0o777,
            &mut to.as_bytes(),
            to.len() as u64,
        )
    }

    /// A file, link or folder of the host, with everything in it.
    pub(crate) fn copy(&mut self, host: &Path, place: &str) -> anyhow::Result<()> {
        let context = || format!("cannot copy {}", host.display());
        let found = fs::metadata(host).with_context(context)?;
        if !found.is_dir() {
            self.within(place)?;
            let mut file = File::open(host).with_context(context)?;
            let mode = found.permissions().mode() & 0o7777;
            return self.entry(place, ModeFileType::Regular, mode, &mut file, found.len());
        }
        self.folder(place)?;
        for entry in fs::read_dir(host).with_context(context)? {
            let entry = entry.with_context(context)?;
            let name = entry.file_name();
            let inner = format!("{place}/{}", name.to_str().with_context(context)?);
            if entry.file_type()?.is_symlink() {
                let to = fs::read_link(entry.path())?;
                self.link(&inner, to.to_str().with_context(context)?)?;
            } else {
                self.copy(&entry.path(), &inner)?;
            }
        }
        Ok(())
    }

    /// Ends the archive.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        let mut out = trailer(self.out)?;
        out.flush().context("cannot write the initramfs")
    }

    fn within(&mut self, place: &str) -> anyhow::Result<()> {
        match place.rsplit_once('/') {
            Some((folder, _)) => self.folder(folder),
            None => Ok(()),
        }
    }

    fn entry(
        &mut self,
        place: &str,
        kind: ModeFileType,
        mode: u32,
        content: &mut dyn io::Read,
        bytes: u64,
    ) -> anyhow::Result<()> {
        if !matches!(kind, ModeFileType::Directory) {
            self.files.insert(place.trim_start_matches('/').to_owned());
        }
        let bytes = u32::try_from(bytes)
            .with_context(|| format!("{place} is too large for an initramfs; use a disk"))?;
        let builder = Builder::new(place.trim_start_matches('/'))
            .mode(mode)
            .set_mode_file_type(kind);
        let mut writer = builder.write(&mut self.out, bytes);
        io::copy(content, &mut writer).with_context(|| format!("cannot write {place}"))?;
        writer
            .finish()
            .with_context(|| format!("{place} changed while it was copied"))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cpio::newc::Reader;

    #[test]
    fn folders_come_once_and_before_what_is_in_them() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("i.cpio");
        let mut archive = Initramfs::create(&path).unwrap();
        archive.file("/lab/job.json", 0o644, b"{}").unwrap();
        archive.file("lab/modules/xfs.ko", 0o644, b"elf").unwrap();
        archive.link("bin/sh", "busybox").unwrap();
        assert!(archive.has("/bin/sh") && archive.has("lab/job.json"));
        assert!(!archive.has("bin/ls") && !archive.has("lab"));
        archive.finish().unwrap();
        let mut names = Vec::new();
        let mut file = File::open(&path).unwrap();
        loop {
            let reader = Reader::new(&mut file).unwrap();
            if reader.entry().is_trailer() {
                break;
            }
            names.push(reader.entry().name().to_owned());
            reader.finish().unwrap();
        }
        assert_eq!(
            names,
            [
                "lab",
                "lab/job.json",
                "lab/modules",
                "lab/modules/xfs.ko",
                "bin",
                "bin/sh"
            ]
        );
    }
}
