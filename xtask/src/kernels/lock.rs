//! `xtask/kernels.lock`: which release of each series the lab boots, to the checksum.
//! Leaves out where the packages come from.

use std::{fs, path::PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::paths;

/// One series, pinned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Locked {
    /// Major and minor number, by which people name it.
    pub(crate) series: String,
    /// What `uname -r` says.
    pub(crate) release: String,
    /// The kernel's package, then those of its modules where they are apart.
    pub(crate) packages: Vec<Package>,
}

/// One Debian package, pinned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) sha256: String,
}

impl Locked {
    /// Whether the archive has its modules: beside the kernel in one package, or in their own.
    pub(crate) fn has_modules(&self) -> bool {
        let with_modules = ["linux-image-", "linux-modules-"];
        self.packages.iter().any(|package| {
            with_modules
                .iter()
                .any(|prefix| package.name.starts_with(prefix))
        })
    }
}

#[derive(Serialize, Deserialize)]
struct Lock {
    kernel: Vec<Locked>,
}

/// Every entry, in the file's order.
pub(crate) fn read() -> anyhow::Result<Vec<Locked>> {
    let text = fs::read_to_string(path()).context("cannot read xtask/kernels.lock")?;
    parse(&text)
}

fn parse(text: &str) -> anyhow::Result<Vec<Locked>> {
    let lock: Lock = toml::from_str(text).context("xtask/kernels.lock is damaged")?;
    Ok(lock.kernel)
}

/// Replaces the file.
pub(crate) fn write(kernels: &[Locked]) -> anyhow::Result<()> {
    fs::write(path(), render(kernels)?).context("cannot write xtask/kernels.lock")
}

fn render(kernels: &[Locked]) -> anyhow::Result<String> {
    let body = toml::to_string_pretty(&Lock {
        kernel: kernels.to_vec(),
    })?;
    Ok(format!(
        "# Written by `cargo xtask kernels update` and `cargo xtask kernels add`.\n\n{body}"
    ))
}

fn path() -> PathBuf {
    paths::root().join("xtask/kernels.lock")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pinned(name: &str) -> Locked {
        let package = Package {
            name: name.into(),
            version: "7.1.13-1".into(),
            sha256: "ab".into(),
        };
        Locked {
            series: "7.1".into(),
            release: "7.1.13+deb13-cloud-amd64".into(),
            packages: vec![package],
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let kernels = [pinned("linux-image-a"), pinned("linux-binary-b")];
        assert_eq!(parse(&render(&kernels).unwrap()).unwrap(), kernels);
    }

    #[test]
    fn a_kernel_whose_modules_are_gone_is_known_by_its_packages() {
        assert!(pinned("linux-image-6.12.107+deb13-cloud-amd64").has_modules());
        assert!(!pinned("linux-binary-7.1.13+deb13-cloud-amd64").has_modules());
    }

    #[test]
    fn the_agent_has_the_facts_of_every_kernel_in_the_lock_and_of_no_other() {
        let facts = fs::read_dir(paths::root().join("hooks/facts")).unwrap();
        let mut facts: Vec<_> = facts
            .filter_map(|it| {
                let name = it.unwrap().file_name().into_string().unwrap();
                Some(name.strip_suffix(".json")?.to_owned())
            })
            .collect();
        facts.sort_by_key(|series| crate::kernels::order(series));
        assert_eq!(facts, crate::kernels::series().unwrap());
    }

    #[test]
    fn a_damaged_lock_is_refused() {
        assert!(parse("[[kernel]]\nseries = 6.12\n").is_err());
    }
}
