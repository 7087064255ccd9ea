//! What a person may rely on in the lab, tried with the commands that a person gives.
//! Leaves out kernels: one is enough for the machinery.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::{Ipv4Addr, TcpListener},
    process::{Command, Output, Stdio},
};

use anyhow::{Context as _, ensure};

use super::Count;
use crate::paths;

type Check = (&'static str, fn() -> anyhow::Result<()>);

const CHECKS: &[Check] = &[
    (
        "a command's streams and exit code come through",
        streams_and_exit_code,
    ),
    (
        "files go in, come back, and disks are there",
        files_and_disks,
    ),
    ("a module comes with what it needs", modules),
    (
        "a Debian program runs with the libraries of its release",
        packages,
    ),
    (
        "in a Debian system, too, streams, files and disks come through",
        system,
    ),
    ("input reaches the command whole", input),
    (
        "an interrupt reaches the command, and nothing is left behind",
        interrupt,
    ),
    ("the time limit ends a guest", time_limit),
    ("a request that cannot be met is refused", refusals),
    ("a busy port is refused before any work", busy_port),
];

pub(super) fn checks() -> Count {
    let mut count = Count::default();
    for (name, check) in CHECKS {
        let outcome = check();
        if outcome.is_ok() {
            println!("ok   {name}");
        }
        count.add(Count::of_one(outcome.context(*name)));
    }
    count
}

fn streams_and_exit_code() -> anyhow::Result<()> {
    let output = lab(&[
        "--",
        "sh",
        "-c",
        "echo to be read; echo of errors >&2; exit 7",
    ])?;
    expect(&output, 7, "to be read\n")?;
    ensure!(errors(&output).contains("of errors"), "{}", errors(&output));
    Ok(())
}

fn files_and_disks() -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let (there, back) = (scratch.path().join("there"), scratch.path().join("back"));
    fs::create_dir(&there)?;
    fs::write(there.join("a"), "carried\n")?;
    let script = "cp /data/a /mnt/disk0 && sync && test -b /dev/disk1 && mkdir /tmp/out && \
                  cp /mnt/disk0/a /tmp/out/b && grep -c ' /mnt/disk0 ext4 ' /proc/mounts";
    let copy = format!("{}:/data", there.display());
    let fetch = format!("/tmp/out:{}", back.display());
    let output = lab(&[
        "--copy", &copy, "--fetch", &fetch, "--disk", "64M:ext4", "--disk", "8M", "--", "sh", "-c",
        script,
    ])?;
    expect(&output, 0, "1\n")?;
    let carried = fs::read_to_string(back.join("b")).context("nothing came back")?;
    ensure!(carried == "carried\n", "{carried:?} came back");
    Ok(())
}

fn modules() -> anyhow::Result<()> {
    let output = lab(&[
        "--module",
        "xfs",
        "--",
        "grep",
        "-cw",
        "xfs",
        "/proc/filesystems",
    ])?;
    expect(&output, 0, "1\n")
}

fn packages() -> anyhow::Result<()> {
    let output = lab(&["--package", "hello", "--suite", "bookworm", "--", "hello"])?;
    expect(&output, 0, "Hello, world!\n")
}

fn system() -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let (there, back) = (scratch.path().join("there"), scratch.path().join("back"));
    fs::write(&there, "carried\n")?;
    let script = "systemctl is-system-running && cp /data/a /mnt/disk0 && \
                  grep -c ' /mnt/disk0 ext4 ' /proc/mounts && cat && echo of errors >&2; exit 7";
    let copy = format!("{}:/data/a", there.display());
    let fetch = format!("/mnt/disk0/a:{}", back.display());
    let output = lab(&[
        "--systemd",
        "--copy",
        &copy,
        "--fetch",
        &fetch,
        "--disk",
        "64M:ext4",
        "--",
        "sh",
        "-c",
        script,
    ])?;
    expect(&output, 7, "running\n1\n")?;
    ensure!(errors(&output).contains("of errors"), "{}", errors(&output));
    let carried = fs::read_to_string(back).context("nothing came back")?;
    ensure!(carried == "carried\n", "{carried:?} came back");
    Ok(())
}

fn input() -> anyhow::Result<()> {
    // Several windows' worth, in no pattern that a lost piece could hide in.
    let text: String = (0..20_000_u32)
        .map(|n| format!("{:x}\n", n.wrapping_mul(2_654_435_761)))
        .collect();
    let scratch = tempfile::tempdir()?;
    let file = scratch.path().join("input");
    fs::write(&file, &text)?;
    let expected = crate::checksum::of_file(&file)?;
    let output = command(&["--", "sha256sum"])?
        .stdin(fs::File::open(&file)?)
        .output()?;
    expect(&output, 0, &format!("{expected}  -\n"))
}

fn interrupt() -> anyhow::Result<()> {
    let script = "trap 'echo told; exit 5' TERM; echo ready; while :; do sleep 0.1; done";
    let temporary = tempfile::tempdir()?;
    let mut child = command(&["--", "sh", "-c", script])?
        .env("TMPDIR", temporary.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // The shell tells there which of its children the signal ended.
        .stderr(Stdio::null())
        .spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("the lab has no output")?).lines();
    let ready = lines.next().context("the guest said nothing")??;
    ensure!(ready == "ready", "{ready}");
    let pid = i32::try_from(child.id())
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    rustix::process::kill_process(pid.context("no process")?, rustix::process::Signal::TERM)?;
    let told = lines.next().context("the guest said no more")??;
    ensure!(told == "told", "{told}");
    let status = child.wait()?;
    ensure!(status.code() == Some(5), "{status}");
    let left = fs::read_dir(temporary.path())?.count();
    ensure!(left == 0, "{left} temporary files are left");
    Ok(())
}

fn time_limit() -> anyhow::Result<()> {
    let output = lab(&["--timeout", "1", "--", "sleep", "1000"])?;
    expect(&output, 124, "")
}

fn refusals() -> anyhow::Result<()> {
    for (arguments, named) in [
        (&["--kernel", "2.4", "--", "true"][..], "2.4"),
        (
            &["--module", "no_such_module", "--", "true"],
            "no_such_module",
        ),
        (&["--disk", "much", "--", "true"], "much"),
        (
            &["--package", "no-such-package", "--", "true"],
            "no-such-package",
        ),
        (&["--copy", "/no/such/file", "--", "true"], "/no/such/file"),
    ] {
        let output = lab(arguments)?;
        expect(&output, 2, "")?;
        ensure!(
            errors(&output).contains(named),
            "{} does not name {named}",
            errors(&output)
        );
    }
    Ok(())
}

fn busy_port() -> anyhow::Result<()> {
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = other.local_addr()?.port().to_string();
    let output = lab(&["--forward", &port, "--", "true"])?;
    expect(&output, 2, "")?;
    ensure!(
        errors(&output).lines().count() == 1,
        "not one line: {}",
        errors(&output)
    );
    ensure!(
        errors(&output).contains(&port),
        "{} does not name the port",
        errors(&output)
    );
    Ok(())
}

fn lab(arguments: &[&str]) -> anyhow::Result<Output> {
    command(arguments)?
        .stdin(Stdio::null())
        .output()
        .context("cannot start the lab")
}

fn command(arguments: &[&str]) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("cannot find xtask itself")?);
    command
        .args(["lab", "--bare"])
        .args(arguments)
        .current_dir(paths::root());
    Ok(command)
}

fn expect(output: &Output, code: i32, printed: &str) -> anyhow::Result<()> {
    let out = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.code() == Some(code),
        "{}, not {code}: {}",
        output.status,
        errors(output)
    );
    ensure!(out == printed, "printed {out:?}, not {printed:?}");
    Ok(())
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
