//! The kinds of kernel that Debian builds of one series, and what the lab and Debian call them.

use crate::arch::Arch;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Flavour {
    /// For clouds, with few drivers, many of them built in: `6.12`, the kind that is meant without being asked for.
    Cloud,
    /// For any machine, with drivers that the one for clouds leaves out: `6.12-generic`.
    Generic,
    /// For any machine, preemptible nearly everywhere, its interrupts in threads: `6.12-rt`.
    Rt,
    /// For any arm64 machine, with pages of 16 KiB: `6.12-arm64-16k`.
    LargePages,
}

impl Flavour {
    const ALL: [Self; 4] = [Self::Cloud, Self::Generic, Self::Rt, Self::LargePages];

    /// What stands for it in a kernel's name; nothing for the usual one.
    pub(crate) const fn word(self) -> Option<&'static str> {
        match self {
            Self::Cloud => None,
            Self::Generic => Some("generic"),
            Self::Rt => Some("rt"),
            Self::LargePages => Some("16k"),
        }
    }

    /// That of a kernel of the lab.
    pub(crate) fn of_kernel(series: &str) -> Self {
        let mut words = series.split('-').skip(1);
        let named = words.find_map(|word| Self::ALL.into_iter().find(|it| it.word() == Some(word)));
        named.unwrap_or(Self::Cloud)
    }

    /// The words that may stand in a kernel's name.
    pub(crate) fn words() -> impl Iterator<Item = &'static str> {
        Self::ALL.into_iter().filter_map(Self::word)
    }

    /// As the names of Debian's packages end.
    pub(crate) fn debian(self, arch: Arch) -> String {
        let arch = arch.debian();
        match self {
            Self::Cloud => format!("cloud-{arch}"),
            Self::Generic => arch.to_owned(),
            Self::Rt => format!("rt-{arch}"),
            Self::LargePages => format!("{arch}-16k"),
        }
    }

    /// Whether there are other facts to it than to the one for clouds: more drivers make none, and
    /// larger pages none but their size.
    pub(crate) const fn has_facts(self) -> bool {
        match self {
            Self::Cloud | Self::Rt => true,
            Self::Generic | Self::LargePages => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernels_name_says_its_flavour() {
        assert_eq!(Flavour::of_kernel("6.12"), Flavour::Cloud);
        assert_eq!(Flavour::of_kernel("6.12-arm64"), Flavour::Cloud);
        assert_eq!(Flavour::of_kernel("6.12-generic"), Flavour::Generic);
        assert_eq!(Flavour::of_kernel("6.12-arm64-generic"), Flavour::Generic);
        assert_eq!(Flavour::of_kernel("6.12-rt"), Flavour::Rt);
        assert_eq!(Flavour::of_kernel("6.12-arm64-16k"), Flavour::LargePages);
    }
}
