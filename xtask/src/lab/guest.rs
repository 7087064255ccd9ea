//! A guest from its description to its verdict: root file system, disks, boots, files back.
//! Leaves out QEMU's own arguments and the bytes on the lines.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::Context as _;
use lab::{
    guest::job::{self, JOB_PATH, Job},
    wire::Stream,
};

use super::{
    Copy, Disk, Fetch, console,
    forward::Forward,
    initramfs::Initramfs,
    machine::{Machine, Parts},
    port,
    session::{self, Event, Events, Listener, Outcome},
    stdin::{self, RawTerminal, SignalWatch},
};
use crate::{build::guest::Binary, kernels, kernels::store::Kernel, paths, process, say};

/// Exit code where the lab itself failed, as container tools have it.
const LAB_FAILED: u8 = 125;

/// Exit code where the time set was over, as timeout(1) has it.
const TIMED_OUT: u8 = 124;

/// How often a guest is started that dies before init says hello.
const BOOTS: u32 = 3;

/// Serial number of the scratch disk for what is fetched, and the most that it takes.
const FETCH_SERIAL: &str = "fetch";
const FETCH_BYTES: u64 = 16 << 30;

/// Everything about a guest that is decided before it starts.
pub(crate) struct Guest {
    pub(crate) kernel: Kernel,
    pub(crate) binaries: Vec<Binary>,
    pub(crate) command: Vec<String>,
    pub(crate) copies: Vec<Copy>,
    pub(crate) fetches: Vec<Fetch>,
    pub(crate) disks: Vec<Disk>,
    pub(crate) modules: Vec<String>,
    pub(crate) memory: u64,
    pub(crate) cpus: u32,
    pub(crate) forward: Option<u16>,
    pub(crate) kvm: bool,
    pub(crate) icount: bool,
    pub(crate) append: String,
    pub(crate) timeout: Option<Duration>,
    pub(crate) terminal: bool,
}

impl Guest {
    /// Boots it with the person's own standard streams and gives the exit code to end with.
    pub(crate) fn run_for_a_person(&self) -> anyhow::Result<u8> {
        let forward = self.forward.map(Forward::bind).transpose()?;
        for attempt in 1..=BOOTS {
            let boot = Boot::prepare(self)?;
            match boot.run(self, forward.as_ref())? {
                Outcome::Exited(code) => {
                    boot.fetch(&self.fetches)?;
                    return Ok(code);
                }
                Outcome::Died { said_hello: false } => {
                    boot.show_console(self);
                    say::step(
                        "lab",
                        format_args!(
                            "the guest died before it said hello (boot {attempt} of {BOOTS})"
                        ),
                    );
                }
                Outcome::Died { said_hello: true } => {
                    boot.show_console(self);
                    say::step("lab", "the guest died while the command ran");
                    return Ok(LAB_FAILED);
                }
                Outcome::Fault(text) => {
                    boot.show_console(self);
                    say::step(
                        "lab",
                        format_args!("the guest could not do what was asked: {text}"),
                    );
                    return Ok(LAB_FAILED);
                }
                Outcome::Damaged(error) => {
                    return Err(error).context("what the guest said was damaged on the way");
                }
                Outcome::TimedOut => {
                    say::step("lab", "the time is over; the guest is ended");
                    return Ok(TIMED_OUT);
                }
                Outcome::Interrupted(signal) => {
                    return Ok(128 + u8::try_from(signal).unwrap_or_default());
                }
            }
        }
        Ok(LAB_FAILED)
    }

    fn job(&self, modules: &[kernels::modules::Module]) -> Job {
        let mut environment: std::collections::BTreeMap<_, _> =
            [("PS1".to_owned(), format!("[{}] \\w # ", self.kernel.series))].into();
        if self.terminal {
            let kind = std::env::var("TERM").unwrap_or_else(|_| "vt100".to_owned());
            environment.insert("TERM".to_owned(), kind);
        }
        let fetch = (!self.fetches.is_empty()).then(|| job::Fetch {
            serial: FETCH_SERIAL.to_owned(),
            paths: self
                .fetches
                .iter()
                .map(|fetch| fetch.guest.clone())
                .collect(),
        });
        Job {
            command: self.command.clone(),
            environment,
            terminal: self.terminal.then(stdin::terminal_size),
            modules: modules.iter().map(|module| place(&module.name)).collect(),
            disks: self
                .disks
                .iter()
                .enumerate()
                .map(|(number, disk)| job::Disk {
                    serial: serial(number),
                    file_system: disk.file_system.clone(),
                })
                .collect(),
            fetch,
            forward: self.forward,
        }
    }

    fn write_initramfs(&self, path: &Path) -> anyhow::Result<()> {
        let modules = kernels::modules::closure(&self.kernel, &self.modules)?;
        let mut root = Initramfs::create(path)?;
        for folder in [
            "dev", "etc", "mnt", "proc", "root", "run", "sys", "tmp", "usr", "var",
        ] {
            root.folder(folder)?;
        }
        for (link, to) in [
            ("sbin", "bin"),
            ("usr/bin", "../bin"),
            ("usr/sbin", "../bin"),
        ] {
            root.link(link, to)?;
        }
        root.file("etc/passwd", 0o644, PASSWD.as_bytes())?;
        root.file("etc/group", 0o644, GROUP.as_bytes())?;
        root.file("etc/hosts", 0o644, b"127.0.0.1 localhost\n")?;
        let busybox = paths::tools().join("bin/busybox");
        let mut taken: Vec<_> = self
            .binaries
            .iter()
            .map(|binary| binary.name.clone())
            .collect();
        root.copy(&busybox, "bin/busybox")?;
        taken.push("busybox".to_owned());
        for binary in &self.binaries {
            let place = if binary.name == "init" {
                "init".to_owned()
            } else {
                format!("bin/{}", binary.name)
            };
            root.copy(&binary.path, &place)?;
        }
        let applets = process::text(Command::new(&busybox).arg("--list"))?;
        for applet in applets
            .lines()
            .filter(|applet| !taken.iter().any(|name| name == applet))
        {
            root.link(&format!("bin/{applet}"), "busybox")?;
        }
        for module in &modules {
            root.file(&place(&module.name), 0o644, &module.object)?;
        }
        for copy in &self.copies {
            root.copy(&copy.host, &copy.guest)?;
        }
        root.file(
            JOB_PATH,
            0o644,
            &serde_json::to_vec_pretty(&self.job(&modules))?,
        )?;
        root.finish()
    }
}

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n";
const GROUP: &str = "root:x:0:\nnogroup:x:65534:\n";

fn place(module: &str) -> String {
    format!("/lab/modules/{module}.ko")
}

fn serial(number: usize) -> String {
    format!("disk{number}")
}

/// The files of one boot; gone with it.
struct Boot {
    folder: tempfile::TempDir,
    disks: Vec<String>,
}

impl Boot {
    fn prepare(guest: &Guest) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("pinscope-lab-").tempdir()?;
        guest.write_initramfs(&folder.path().join("initramfs"))?;
        let mut boot = Self {
            folder,
            disks: Vec::new(),
        };
        for (number, disk) in guest.disks.iter().enumerate() {
            boot.add(disk, &serial(number))?;
        }
        if !guest.fetches.is_empty() {
            boot.add(
                &Disk {
                    bytes: FETCH_BYTES,
                    file_system: None,
                    iops: None,
                },
                FETCH_SERIAL,
            )?;
        }
        Ok(boot)
    }

    fn add(&mut self, disk: &Disk, serial: &str) -> anyhow::Result<()> {
        let path = self.path(serial);
        disk.create(&path)?;
        self.disks.extend(disk.arguments(serial, &path));
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, guest: &Guest, forward: Option<&Forward>) -> anyhow::Result<Outcome> {
        let events = Events::new();
        let _signals = SignalWatch::start(events.sender.clone())?;
        let arrivals = events.sender.clone();
        // Nobody hears of arrivals after the verdict.
        let (port, command_line) =
            port::open(move |arrival| drop(arrivals.send(Event::Line(arrival))))?;
        let (forward, forward_line) = match forward {
            Some(forward) => forward
                .line()
                .map(|(started, line)| (Some(started), line))?,
            None => port::open(drop).map(|(_, line)| (None, line))?,
        };
        let machine = Machine::start(
            guest,
            Parts {
                initramfs: &self.path("initramfs"),
                console: &self.path("console"),
                errors: File::create(self.path("errors"))?,
                command_line,
                forward_line,
                disks: &self.disks,
            },
        )?;
        let mut person = Person {
            guest,
            port: port.clone(),
            events: &events,
            forward,
            terminal: None,
        };
        let outcome = session::follow(&events, &port, guest.timeout, &mut person)?;
        drop(person);
        if matches!(outcome, Outcome::Exited(_) | Outcome::Fault(_)) {
            machine.end()?;
        }
        port.close();
        Ok(outcome)
    }

    fn show_console(&self, guest: &Guest) {
        console::show(
            &guest.kernel.series,
            &self.path("console"),
            &self.path("errors"),
        );
    }

    /// Unpacks the fetch disk and puts each path where it was asked for.
    fn fetch(&self, fetches: &[Fetch]) -> anyhow::Result<()> {
        if fetches.is_empty() {
            return Ok(());
        }
        let files = self.path("files");
        fs::create_dir(&files)?;
        // Not busybox's, which reads on through the gigabytes behind the archive.
        process::output(
            Command::new("tar")
                .arg("-xf")
                .arg(self.path(FETCH_SERIAL))
                .arg("-C")
                .arg(&files),
        )
        .context("cannot unpack what the guest packed")?;
        for fetch in fetches {
            let from = files.join(fetch.guest.trim_start_matches('/'));
            process::output(
                Command::new("cp")
                    .args(["-a", "-T"])
                    .arg(from)
                    .arg(&fetch.host),
            )?;
        }
        Ok(())
    }
}

/// The guest's output for the person who started it.
struct Person<'a> {
    guest: &'a Guest,
    port: port::Port,
    events: &'a Events,
    forward: Option<super::forward::Started>,
    terminal: Option<RawTerminal>,
}

impl Listener for Person<'_> {
    fn hello(&mut self, _release: &str) {
        if self.guest.terminal {
            match RawTerminal::enter() {
                Ok(terminal) => self.terminal = terminal,
                Err(error) => say::step("lab", format_args!("{error:#}")),
            }
        }
        stdin::pump(
            self.port.clone(),
            self.events.sender.clone(),
            self.terminal.is_some(),
        );
        if let Some(forward) = self.forward.take() {
            forward.serve();
        }
    }

    fn output(&mut self, stream: Stream, bytes: &[u8]) -> anyhow::Result<()> {
        match stream {
            Stream::Out => {
                let mut out = std::io::stdout().lock();
                out.write_all(bytes)?;
                out.flush()?;
            }
            Stream::Err => std::io::stderr().lock().write_all(bytes)?,
        }
        Ok(())
    }
}
