//! What is printed, to a disk that is full and to a reader that has gone away: each verb, run for
//! real. Leaves out those that need privileges, which the lab's tests try.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, BufRead as _, BufReader, Write as _},
    os::unix::net::UnixListener,
    path::Path,
    process::{Command, Output, Stdio},
    thread,
};

use serde_json::Value;

/// What takes privileges: `run` and `record` print at their end, too.
const IN_THE_LAB: [&str; 4] = ["run", "record", "census", "verify"];

const TRACE: &str = "pinscope-trace 1\n\
    page shared 1 private 0 pins 1 flag set pin bias\n\
    mkclean reads the combined count: 2\n\
    mkclean passes entry 0: present, counted\n\
    mkclean ends its walk: 1\n\
    zap marks entry 0: 2\n\
    zap decrements the mapcount for entry 0\n";

/// Command lines that print, and need no privileges.
fn commands() -> Vec<Vec<&'static str>> {
    let recording = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/recordings/7.3-private-after-pin.rec"
    );
    let lines = [
        "--help",
        "--version",
        "help run",
        "config check pinscope.toml",
        "config check --format json pinscope.toml",
        "config show --config pinscope.toml",
        "config show --config pinscope.toml --format json",
        "doctor",
        "doctor --format json",
        "replay trace",
        "replay trace --format json",
        "replay recording",
        "replay recording --format json",
        "pins --socket socket",
        "verdicts --socket socket",
        "documents",
        "documents metrics",
        "documents config",
    ];
    let words = |it: &'static str| it.split(' ');
    let file = |it: &'static str| if it == "recording" { recording } else { it };
    let lines = lines.into_iter();
    lines.map(|it| words(it).map(file).collect()).collect()
}

/// A folder with what these command lines name; an agent answers at its socket.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("it can be made");
    let write = |name: &str, text: &str| {
        fs::write(folder.path().join(name), text).expect("it can be written");
    };
    write("pinscope.toml", "owners = 64\n");
    write("trace", TRACE);
    let agent = UnixListener::bind(folder.path().join("socket")).expect("the name is free");
    thread::spawn(move || {
        for client in agent.incoming() {
            let client = client.expect("it asks");
            let mut request = String::new();
            let _len = BufReader::new(&client).read_line(&mut request);
            let _gone = (&client).write_all(b"ok\na report\nof two lines\n");
        }
    });
    folder
}

fn said(folder: &Path, arguments: &[&str], out: impl Into<Stdio>) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pinscope"))
        .args(arguments)
        .current_dir(folder)
        .stdout(out)
        .stderr(Stdio::piped())
        .spawn()
        .and_then(|it| it.wait_with_output())
        .expect("it starts")
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn every_verb_that_prints_is_tried() {
    let folder = folder();
    let names = said(folder.path(), &["documents"], Stdio::piped());
    let names: Value = serde_json::from_slice(&names.stdout).expect("it prints JSON");
    let verbs = names["commands"].as_array().expect("a list");
    let verbs = verbs.iter().filter_map(|it| it["name"].as_str());
    let tried: BTreeSet<&str> = commands().into_iter().flatten().chain(IN_THE_LAB).collect();
    for verb in verbs.filter(|it| *it != "pinscope") {
        assert!(tried.contains(verb), "{verb}");
    }
}

#[test]
fn what_does_not_fit_on_the_disk_is_an_error() {
    let folder = folder();
    for arguments in commands() {
        let full = File::create("/dev/full").expect("every Linux has it");
        let output = said(folder.path(), &arguments, full);
        let why = errors(&output);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {why}");
        assert!(
            why.ends_with(
                "cannot write to standard output: No space left on device (os error 28)\n"
            ),
            "{arguments:?}: {why}"
        );
    }
}

#[test]
fn what_cannot_be_written_at_all_is_an_error() {
    let folder = folder();
    let to_read = File::open("/dev/null").expect("it is there");
    let output = said(folder.path(), &["pins", "--socket", "socket"], to_read);
    let why = errors(&output);
    assert_eq!(output.status.code(), Some(1), "{why}");
    assert!(why.contains("cannot write to standard output"), "{why}");
}

#[test]
fn a_reader_that_has_gone_away_is_no_error() {
    let folder = folder();
    for arguments in commands() {
        let (reader, writer) = io::pipe().expect("there is one");
        drop(reader);
        let read = said(folder.path(), &arguments, Stdio::piped());
        let unread = said(folder.path(), &arguments, writer);
        // The doctor says by its exit code whether the agent could run here.
        let wanted = (read.status.code(), errors(&read));
        let found = (unread.status.code(), errors(&unread));
        assert_eq!(found, wanted, "{arguments:?}");
        assert!(!found.1.contains("standard output"), "{arguments:?}");
    }
}

#[test]
fn head_gets_its_line_and_nobody_complains() {
    let folder = folder();
    let agent = env!("CARGO_BIN_EXE_pinscope");
    for arguments in ["pins --socket socket", "documents metrics", "--help"] {
        let output = Command::new("bash")
            .args(["-o", "pipefail", "-c"])
            .arg(format!("{agent} {arguments} | head -1"))
            .current_dir(folder.path())
            .output()
            .expect("bash is installed");
        assert!(output.status.success(), "{arguments}: {output:?}");
        assert_eq!(errors(&output), "", "{arguments}");
        let lines = output.stdout.iter().filter(|it| **it == b'\n').count();
        assert_eq!(lines, 1, "{arguments}: {output:?}");
    }
}

#[test]
fn where_nobody_can_be_told_the_exit_code_still_does() {
    let folder = folder();
    let full = || File::create("/dev/full").expect("every Linux has it");
    let ended = Command::new(env!("CARGO_BIN_EXE_pinscope"))
        .args(["config", "check", "pinscope.toml"])
        .current_dir(folder.path())
        .stdout(full())
        .stderr(full())
        .status()
        .expect("it starts");
    assert_eq!(ended.code(), Some(1));
}
