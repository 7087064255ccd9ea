//! Runs the job's command with its streams on the serial line; leaves out what happens before and after.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    os::{fd::OwnedFd, unix::process::CommandExt as _},
    process::{Command, Stdio},
    sync::mpsc,
    thread::{self, JoinHandle},
};

use anyhow::Context as _;
use rustix::{
    process::{Pid, Signal, kill_process_group},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};

use super::{
    job::Job,
    line::{LineReader, LineWriter},
    processes,
};
use crate::wire::{Frame, MAX_PAYLOAD, Stream};

/// The running command's ends that init holds.
struct Streams {
    input: Box<dyn Write + Send>,
    outputs: Vec<(Stream, Box<dyn Read + Send>)>,
    terminal: Option<OwnedFd>,
}

/// Runs the command to its end and gives its exit code; `end_the_rest` ends what it left behind.
pub fn run(
    job: &Job,
    reader: LineReader,
    writer: &LineWriter,
    end_the_rest: impl FnOnce(),
) -> anyhow::Result<u8> {
    let (pid, streams) = match job.terminal {
        Some(size) => start_on_terminal(job, size)?,
        None => start_on_pipes(job)?,
    };
    let pumps: Vec<_> = streams
        .outputs
        .into_iter()
        .map(|(to, from)| pump(to, from, writer.clone()))
        .collect();
    let input = feed(streams.input, writer.clone());
    thread::spawn(move || obey(reader, pid, input, streams.terminal.as_ref()));

    let code = processes::wait_for(pid)?;
    // What the command left behind would hold its streams open.
    end_the_rest();
    for pump in pumps {
        // A pump ends with its stream; if it panicked its message is on the console.
        let _ = pump.join();
    }
    Ok(code)
}

fn prepare(job: &Job, argv: &[String]) -> anyhow::Result<Command> {
    let (program, arguments) = argv.split_first().context("the job has no command")?;
    let mut command = Command::new(program);
    command.args(arguments).current_dir("/root").env_clear();
    command
        .env("PATH", "/bin")
        .env("HOME", "/root")
        .env("USER", "root")
        .envs(&job.environment);
    Ok(command)
}

fn start_on_pipes(job: &Job) -> anyhow::Result<(u32, Streams)> {
    let mut child = prepare(job, &job.command)?
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", job.command[0]))?;
    let (Some(input), Some(out), Some(err)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        anyhow::bail!("the command has no pipes");
    };
    let outputs: Vec<(Stream, Box<dyn Read + Send>)> =
        vec![(Stream::Out, Box::new(out)), (Stream::Err, Box::new(err))];
    Ok((
        child.id(),
        Streams {
            input: Box::new(input),
            outputs,
            terminal: None,
        },
    ))
}

fn start_on_terminal(job: &Job, size: (u16, u16)) -> anyhow::Result<(u32, Streams)> {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).context("cannot open a pty")?;
    grantpt(&master)?;
    unlockpt(&master)?;
    resize(&master, size);
    let name = ptsname(&master, Vec::new())?.into_string()?;
    let slave = OpenOptions::new().read(true).write(true).open(&name)?;
    // busybox's setsid makes the terminal the controlling one, which needs the child's own hands.
    let argv: Vec<_> = ["setsid", "-c"]
        .map(str::to_owned)
        .into_iter()
        .chain(job.command.clone())
        .collect();
    let child = prepare(job, &argv)?
        .stdin(slave.try_clone()?)
        .stdout(slave.try_clone()?)
        .stderr(slave)
        .spawn()
        .with_context(|| format!("cannot start {}", job.command[0]))?;
    let streams = Streams {
        input: Box::new(File::from(master.try_clone()?)),
        outputs: vec![(Stream::Out, Box::new(File::from(master.try_clone()?)))],
        terminal: Some(master),
    };
    Ok((child.id(), streams))
}

fn resize(terminal: &OwnedFd, (rows, columns): (u16, u16)) {
    let size = Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    if let Err(error) = tcsetwinsize(terminal, size) {
        eprintln!("init: cannot size the terminal: {error}");
    }
}

/// Sends what the command writes, until it closes the stream.
fn pump(to: Stream, mut from: Box<dyn Read + Send>, writer: LineWriter) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut buffer = vec![0; MAX_PAYLOAD];
        loop {
            match from.read(&mut buffer) {
                // A pty whose last user is gone says EIO instead of end of file.
                Ok(0) => return,
                Ok(read) => writer.send(&Frame::Output(to, buffer[..read].to_vec())),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    })
}

/// Writes to the command's input on a thread of its own: a command that does not read must not
/// keep a signal from it.
fn feed(mut input: Box<dyn Write + Send>, writer: LineWriter) -> mpsc::Sender<Vec<u8>> {
    let (sender, receiver) = mpsc::channel::<Vec<u8>>();
    thread::spawn(move || {
        for bytes in receiver {
            // A command that has closed its input wants no more; the host still gets its credit.
            let _ = input.write_all(&bytes).and_then(|()| input.flush());
            writer.send(&Frame::Credit(bytes.len() as u32));
        }
    });
    sender
}

/// Does what the host says while the command runs.
fn obey(
    mut reader: LineReader,
    pid: u32,
    input: mpsc::Sender<Vec<u8>>,
    terminal: Option<&OwnedFd>,
) {
    // Dropped, it closes the command's input.
    let mut input = Some(input);
    loop {
        match reader.read() {
            Ok(Some(Frame::Input(bytes))) => {
                if let Some(input) = &input {
                    // The feeder lives as long as this sender.
                    let _ = input.send(bytes);
                }
            }
            Ok(Some(Frame::InputEnd)) => input = None,
            Ok(Some(Frame::Signal(number))) => signal(pid, number),
            Ok(Some(Frame::Resize(rows, columns))) => {
                if let Some(terminal) = terminal {
                    resize(terminal, (rows, columns));
                }
            }
            Ok(Some(other)) => eprintln!("init: {other:?} makes no sense from the host"),
            Ok(None) => return,
            Err(error) => return eprintln!("init: {error}"),
        }
    }
}

fn signal(pid: u32, number: u8) {
    let group = i32::try_from(pid).ok().and_then(Pid::from_raw);
    if let (Some(group), Some(signal)) = (group, Signal::from_named_raw(i32::from(number))) {
        // A command that has just ended needs no signal.
        let _ = kill_process_group(group, signal);
    }
}
