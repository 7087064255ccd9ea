//! The architectures that pinscope runs on: what each is called by whom, and how QEMU plays one.
//! Leaves out what the probes mind, which is `probe-ebpf/src/arch.rs`.

use clap::ValueEnum;

/// One of them. Named as Rust and aya name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Arch {
    /// 64-bit x86
    #[value(name = "x86_64")]
    X86_64,
    /// 64-bit ARM
    #[value(name = "aarch64")]
    Aarch64,
}

/// A machine of QEMU's that carries a guest.
pub(crate) struct Machine {
    pub(crate) program: &'static str,
    /// Debian's package that has it.
    pub(crate) package: &'static str,
    /// Its CPU, where that is emulated and instructions are not counted.
    pub(crate) emulated_cpu: &'static str,
    /// What the machine is, and its three serial lines: console, command, forward.
    pub(crate) arguments: &'static [&'static str],
    /// What the kernel is told of it.
    pub(crate) command_line: &'static str,
    /// Where the guest finds the line that carries its commands, and the one that carries a port.
    pub(crate) lines: [&'static str; 2],
}

const PC: Machine = Machine {
    program: "qemu-system-x86_64",
    package: "qemu-system-x86",
    // Emulated string instructions go byte by byte. Without these two features the kernel copies
    // by words, and a start of the agent takes a fifth less of the host's CPU.
    emulated_cpu: "max,-erms,-fsrm",
    arguments: &[
        "-serial",
        "chardev:console",
        "-serial",
        "chardev:command",
        "-serial",
        "chardev:forward",
    ],
    // An emulated timer on a busy machine fails the kernel's check of it, and the kernel then panics.
    command_line: "console=ttyS0 no_timer_check",
    lines: ["/dev/ttyS1", "/dev/ttyS2"],
};

/// It has one serial line of its own, of another kind; the other two sit on its PCI bus.
const VIRT: Machine = Machine {
    program: "qemu-system-aarch64",
    package: "qemu-system-arm",
    emulated_cpu: "max",
    arguments: &[
        "-machine",
        "virt",
        "-serial",
        "chardev:console",
        "-device",
        "pci-serial,chardev=command",
        "-device",
        "pci-serial,chardev=forward",
    ],
    command_line: "console=ttyAMA0",
    lines: ["/dev/ttyS0", "/dev/ttyS1"],
};

impl Arch {
    /// All of them.
    pub(crate) const ALL: [Self; 2] = [Self::X86_64, Self::Aarch64];

    /// The one that this runs on.
    pub(crate) const HOST: Self = if cfg!(target_arch = "aarch64") {
        Self::Aarch64
    } else {
        Self::X86_64
    };

    /// As Rust, aya and `uname -m` call it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }

    /// As Debian calls it.
    pub(crate) const fn debian(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Aarch64 => "arm64",
        }
    }

    /// The target of Rust's that programs for it are built for.
    pub(crate) const fn target(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-unknown-linux-gnu",
            Self::Aarch64 => "aarch64-unknown-linux-gnu",
        }
    }

    /// The folder of its libraries in Debian's packages.
    pub(crate) const fn libraries(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-linux-gnu",
            Self::Aarch64 => "aarch64-linux-gnu",
        }
    }

    /// The loader of its programs, within Debian's packages.
    pub(crate) const fn loader(self) -> &'static str {
        match self {
            Self::X86_64 => "usr/lib64/ld-linux-x86-64.so.2",
            Self::Aarch64 => "usr/lib/ld-linux-aarch64.so.1",
        }
    }

    /// What carries its guests.
    pub(crate) const fn machine(self) -> &'static Machine {
        match self {
            Self::X86_64 => &PC,
            Self::Aarch64 => &VIRT,
        }
    }

    /// That of a kernel of the lab: `6.12-arm64` is of ARM, `6.12` of x86.
    pub(crate) fn of_kernel(series: &str) -> Self {
        let named = |arch: &Self| series.split('-').skip(1).any(|it| it == arch.debian());
        Self::ALL.into_iter().find(named).unwrap_or(Self::X86_64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernels_name_says_its_architecture() {
        assert_eq!(Arch::of_kernel("6.12"), Arch::X86_64);
        assert_eq!(Arch::of_kernel("6.12-generic"), Arch::X86_64);
        assert_eq!(Arch::of_kernel("6.12-arm64"), Arch::Aarch64);
        assert_eq!(Arch::of_kernel("6.12-arm64-generic"), Arch::Aarch64);
    }
}
