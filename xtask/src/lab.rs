//! `cargo xtask lab`: boots a stock kernel and runs a command in it, as a tool for people.
//! Leaves out what init does in the guest, which is `lab::guest`.

mod arguments;
mod boot;
mod console;
mod disk;
mod forward;
pub(crate) mod guest;
pub(crate) mod heard;
mod initramfs;
mod machine;
pub(crate) mod packages;
mod person;
mod port;
mod rootfs;
mod session;
mod stdin;
mod system;

use std::{io::IsTerminal as _, process::ExitCode, time::Duration};

use clap::Subcommand;

pub(crate) use arguments::{Copy, Fetch};
pub(crate) use disk::Disk;
pub(crate) use forward::Forward;
pub(crate) use guest::{Guest, Input};

use crate::{arch::Arch, build, kernels, refused, setup};

/// How to boot, and what to run.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Options {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// Kernel series; `cargo xtask lab list` shows them
    #[arg(long, default_value = "6.12")]
    kernel: String,
    /// File or folder for the guest; without a place of its own it lies in /root
    #[arg(long, value_name = "HOST[:GUEST]")]
    copy: Vec<Copy>,
    /// File or folder to bring back once the command has ended
    #[arg(long, value_name = "GUEST:HOST")]
    fetch: Vec<Fetch>,
    /// Fresh NVMe disk: raw at /dev/diskN, or with a file system at /mnt/diskN; `iops` throttles it
    #[arg(long, value_name = "SIZE[:ext4][:iops=N]")]
    disk: Vec<Disk>,
    /// Kernel module to load, with what it depends on
    #[arg(long, value_name = "NAME")]
    module: Vec<String>,
    /// Debian package whose programs the guest is to have, with everything that it depends on
    #[arg(long, value_name = "NAME[,NAME]", value_delimiter = ',')]
    package: Vec<String>,
    /// Debian release that packages and system are from; without it the one whose kernel comes nearest
    #[arg(long, value_parser = packages::SUITES)]
    suite: Option<String>,
    /// Boot a system of that release with systemd, and run the command in it as root; the agent is
    /// installed there as a service that does not run yet
    #[arg(long)]
    systemd: bool,
    /// Guest memory; without it 1G, and what packages take
    #[arg(long, value_name = "SIZE", value_parser = arguments::size)]
    memory: Option<u64>,
    /// Guest CPUs
    #[arg(long, default_value_t = 2)]
    cpus: u32,
    /// NUMA nodes, which have the memory and the CPUs in equal parts
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    nodes: u32,
    /// TCP port of 127.0.0.1 that leads to the same port in the guest
    #[arg(long, value_name = "PORT")]
    forward: Option<u16>,
    /// Use KVM; off by default, because a host can show /dev/kvm and still crash QEMU
    #[arg(long, conflicts_with = "icount")]
    kvm: bool,
    /// Let guest time be a count of instructions, on one CPU: costs then repeat to the digit
    #[arg(long)]
    icount: bool,
    /// More for the kernel's command line
    #[arg(long, value_name = "CMDLINE", default_value = "")]
    append: String,
    /// End the guest after so many seconds
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// Give the command a terminal
    #[arg(long)]
    tty: bool,
    /// Build nothing: a guest with busybox and what is copied
    #[arg(long)]
    bare: bool,
    /// Build nothing: take the agent and the lab's programs as they were built last
    #[arg(long, conflicts_with = "bare")]
    built: bool,
    /// What to run; without it a shell
    #[arg(last = true)]
    command: Vec<String>,
}

#[derive(Subcommand)]
enum Verb {
    /// Show the kernels: exact release, whether fetched, whether its modules are to be had
    List,
}

pub(crate) fn verb(options: Options) -> anyhow::Result<ExitCode> {
    if let Some(Verb::List) = options.verb {
        return kernels::list().map(|()| ExitCode::SUCCESS);
    }
    let locked = kernels::locked(&options.kernel)?;
    // Before any work: a busy port is found in a millisecond, not after minutes of set-up.
    drop(options.forward.map(Forward::bind).transpose()?);
    let arch = Arch::of_kernel(&locked.series);
    if options.bare || options.built {
        setup::for_lab(arch)?;
    } else {
        setup::all(arch)?;
    }
    let kernel = kernels::store::bring(&locked)?;
    let suite = options
        .suite
        .as_deref()
        .unwrap_or_else(|| packages::suite_of(&kernel.series));
    if options.suite.is_some() && !options.systemd && options.package.is_empty() {
        return Err(refused(
            "--suite says where packages and systems are from: give --package or --systemd with it",
        ));
    }
    let packages = packages::bring(&options.package, suite, arch)?;
    let binaries = if options.bare {
        build::guest::bare(arch)?
    } else if options.built {
        build::guest::built(arch)?
    } else {
        build::all(arch)?
    };
    let system = options
        .systemd
        .then(|| system::bring(suite, &kernel, &binaries))
        .transpose()?;
    let mut guest = Guest::new(kernel, binaries);
    guest.system = system;
    guest.terminal = options.tty || (options.command.is_empty() && std::io::stdin().is_terminal());
    guest.command = if options.command.is_empty() {
        shell()
    } else {
        options.command
    };
    guest.packages = packages;
    guest.copies = options.copy;
    guest.fetches = options.fetch;
    guest.disks = options.disk;
    guest.modules = options.module;
    guest.memory = match options.memory {
        Some(bytes) => bytes,
        None => guest.memory + packages::memory(&guest.packages)?,
    };
    guest.cpus = options.cpus;
    guest.nodes = options.nodes;
    guest.forward = options.forward;
    guest.kvm = options.kvm;
    guest.icount = options.icount;
    guest.append = options.append;
    guest.timeout = options.timeout.map(Duration::from_secs);
    guest.run().map(ExitCode::from)
}

fn shell() -> Vec<String> {
    vec!["sh".to_owned()]
}
