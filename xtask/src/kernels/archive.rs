//! What Debian's archive has of a kernel series; leaves out fetching it.

use super::{Flavour, Locked, Package, numbers};
use crate::{
    arch::Arch,
    debian::{
        apt::{self, Apt},
        version,
    },
};

/// An image package of less is one that only depends on the others (6.19 and later).
const LEAST_IMAGE_BYTES: u64 = 1 << 20;

/// The newest release of the series; `None` if the archive has none.
pub(crate) fn newest(series: &str) -> anyhow::Result<Option<Locked>> {
    let apt = Apt::ready(Arch::of_kernel(series))?;
    let packages = apt.list("linux-", |name| is_of(name, series))?;
    Ok(choose(&packages, series))
}

fn is_of(name: &str, series: &str) -> bool {
    let flavour = Flavour::of_kernel(series).debian(Arch::of_kernel(series));
    // `cloud-amd64` is not a flavour of `amd64`.
    let has_flavour = |release: &str| {
        let rest = release.strip_suffix(&flavour);
        rest.and_then(|rest| rest.strip_suffix('-'))
            .is_some_and(|rest| rest.ends_with(|last: char| last.is_ascii_digit()))
    };
    [
        "linux-image-",
        "linux-binary-",
        "linux-modules-",
        "linux-base-",
    ]
    .iter()
    .filter_map(|prefix| name.strip_prefix(prefix))
    .any(|release| has_flavour(release) && series_of(release) == Some(numbers(series)))
}

/// `6.12` of `6.12.107+deb13-cloud-amd64`.
fn series_of(release: &str) -> Option<&str> {
    let mut dots = release.match_indices('.').map(|(at, _)| at);
    dots.next()?;
    release.get(..dots.next()?)
}

fn choose(packages: &[apt::Package], series: &str) -> Option<Locked> {
    let kernel = packages
        .iter()
        .filter(|package| {
            package.name.starts_with("linux-binary-")
                || (package.name.starts_with("linux-image-") && package.bytes >= LEAST_IMAGE_BYTES)
        })
        .max_by(|a, b| version::compare(&a.version, &b.version))?;
    let release = kernel.name.splitn(3, '-').nth(2)?.to_owned();
    // Where the modules are apart, so is the list of those that are built in.
    let beside = ["linux-modules-", "linux-base-"].map(|prefix| {
        packages.iter().find(|package| {
            package.name == format!("{prefix}{release}") && package.version == kernel.version
        })
    });
    let all = [kernel].into_iter().chain(beside.into_iter().flatten());
    Some(Locked {
        series: series.to_owned(),
        packages: all.map(pin).collect(),
        release,
    })
}

fn pin(package: &apt::Package) -> Package {
    Package {
        name: package.name.clone(),
        version: package.version.clone(),
        sha256: package.sha256.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(name: &str, version: &str, bytes: u64) -> apt::Package {
        apt::Package {
            name: name.into(),
            version: version.into(),
            sha256: String::new(),
            bytes,
        }
    }

    #[test]
    fn only_the_flavour_asked_for_of_the_series_itself_is_taken() {
        assert!(is_of("linux-image-6.1.0-50-amd64", "6.1-generic"));
        assert!(is_of("linux-image-6.12.107+deb13-amd64", "6.12-generic"));
        assert!(!is_of("linux-image-6.1.0-50-cloud-amd64", "6.1-generic"));
        assert!(!is_of("linux-image-6.1.0-50-rt-amd64", "6.1-generic"));
        assert!(is_of("linux-image-6.12.107+deb13-rt-amd64", "6.12-rt"));
        assert!(!is_of("linux-image-6.12.107+deb13-amd64", "6.12-rt"));
        assert!(!is_of("linux-image-6.12.107+deb13-rt-amd64", "6.12"));
        assert!(is_of("linux-image-6.1.0-50-cloud-amd64", "6.1"));
        assert!(!is_of("linux-image-6.12.107+deb13-cloud-amd64", "6.1"));
        assert!(!is_of("linux-image-6.1.0-50-cloud-amd64-dbg", "6.1"));
        assert!(!is_of("linux-image-6.1.0-50-cloud-amd64-unsigned", "6.1"));
        assert!(!is_of("linux-image-6.1.0-50-amd64", "6.1"));
        assert!(!is_of("linux-image-cloud-amd64", "6.1"));
        assert!(!is_of("linux-image-6.1.0-50-cloud-arm64", "6.1"));
        assert!(is_of("linux-image-6.1.0-50-cloud-arm64", "6.1-arm64"));
        assert!(!is_of("linux-image-6.1.0-50-cloud-amd64", "6.1-arm64"));
    }

    #[test]
    fn the_newest_version_wins_whatever_its_name() {
        let packages = [
            listed(
                "linux-image-6.12.95+deb12-cloud-amd64",
                "6.12.95-1~bpo12+1",
                30 << 20,
            ),
            listed(
                "linux-image-6.12.107+deb13-cloud-amd64",
                "6.12.107-1",
                30 << 20,
            ),
            listed(
                "linux-image-6.12.94+deb13-cloud-amd64",
                "6.12.94-1",
                30 << 20,
            ),
        ];
        assert_eq!(
            choose(&packages, "6.12").unwrap().release,
            "6.12.107+deb13-cloud-amd64"
        );
    }

    #[test]
    fn an_image_that_only_depends_is_not_the_kernel() {
        let packages = [
            listed(
                "linux-image-7.3.4+deb13-cloud-amd64",
                "7.3.4-1~bpo13+1",
                1928,
            ),
            listed(
                "linux-modules-7.3.4+deb13-cloud-amd64",
                "7.3.4-1~bpo13+1",
                20 << 20,
            ),
            listed(
                "linux-base-7.3.4+deb13-cloud-amd64",
                "7.3.4-1~bpo13+1",
                1 << 19,
            ),
            listed(
                "linux-binary-7.3.4+deb13-cloud-amd64",
                "7.3.4-1~bpo13+1",
                13 << 20,
            ),
        ];
        let names: Vec<_> = choose(&packages, "7.3")
            .unwrap()
            .packages
            .into_iter()
            .map(|package| package.name)
            .collect();
        assert_eq!(
            names,
            [
                "linux-binary-7.3.4+deb13-cloud-amd64",
                "linux-modules-7.3.4+deb13-cloud-amd64",
                "linux-base-7.3.4+deb13-cloud-amd64"
            ]
        );
        assert_eq!(choose(&packages[..1], "7.3"), None);
    }
}
