//! The configuration file, as an operator meets it: of an agent that is switched off, which needs no
//! privileges. Leaves out what is wrong in a file, which unit tests tell, and what a change does to an
//! agent at work, which the lab's tests tell.

mod agent;

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;

use agent::Agent;

const SWITCHED_OFF: &[&str] = &["--off-file", "off"];

fn pinscope(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pinscope"));
    command.args(arguments).current_dir(folder);
    command
}

fn said(folder: &Path, arguments: &[&str]) -> Output {
    pinscope(folder, arguments).output().expect("it starts")
}

/// A folder with this file as `pinscope.toml`.
fn folder(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("it can be made");
    write(folder.path(), text);
    folder
}

fn write(folder: &Path, text: &str) {
    fs::write(folder.join("pinscope.toml"), text).expect("it can be written");
}

#[test]
fn a_flag_wins_over_a_variable_and_a_variable_over_the_file() {
    let folder = folder("owners = 64\nring-bytes = 8192\nledger-folios = 1024\n");
    let shown = pinscope(folder.path(), &["config", "show", "--format", "json"])
        .args(["--config", "pinscope.toml", "--owners", "128"])
        .env("PINSCOPE_OWNERS", "256")
        .env("PINSCOPE_RING_BYTES", "4096")
        .output()
        .expect("it starts");
    let shown: Value = serde_json::from_slice(&shown.stdout).expect("it prints JSON");
    let of = |key: &str| {
        let settings = shown["settings"].as_array().expect("a list");
        let found = settings.iter().find(|it| it["key"] == key);
        let found = found.unwrap_or_else(|| panic!("no {key}"));
        let text = |name: &str| found[name].as_str().unwrap_or_default().to_owned();
        (text("value"), text("from"))
    };
    let wanted = |value: &str, from: &str| (value.to_owned(), from.to_owned());
    assert_eq!(of("owners"), wanted("128", "flag"));
    assert_eq!(of("ring-bytes"), wanted("4096", "variable"));
    assert_eq!(of("ledger-folios"), wanted("1024", "file"));
    assert_eq!(of("attach"), wanted("auto", "default"));
}

#[test]
fn a_check_tells_each_fault_with_its_line_and_ends_with_2() {
    let folder = folder("owners = 64\nowner = 64\nattach = 'magic'\n");
    for arguments in [
        &["config", "check", "pinscope.toml"][..],
        &["run", "--config", "pinscope.toml"],
        &["doctor", "--quiet", "--config", "pinscope.toml"],
    ] {
        let output = said(folder.path(), arguments);
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        assert_eq!(output.status.code(), Some(2), "{text}");
        // Whether the doctor finds something worse depends on who asks.
        if arguments[0] != "doctor" {
            assert!(
                text.contains("pinscope.toml:2: `owner` is no setting; did you mean `owners`?"),
                "{text}"
            );
            assert!(
                text.contains("pinscope.toml:3: invalid value 'magic'"),
                "{text}"
            );
        }
    }
    let output = said(
        folder.path(),
        &["config", "check", "pinscope.toml", "--format", "json"],
    );
    let report: Value = serde_json::from_slice(&output.stdout).expect("it prints JSON");
    assert_eq!(report["usable"], false);
    assert_eq!(report["faults"][0]["line"], 2);
    write(folder.path(), "owners = 64\n");
    let output = said(folder.path(), &["config", "check", "pinscope.toml"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stdout, b"pinscope.toml has one setting\n");
}

#[test]
fn the_doctor_looks_at_the_files_that_it_is_told() {
    let folder = folder("web-config = 'web.yml'\n");
    let state = |name: &str| {
        let arguments = ["doctor", "--format", "json", "--config", "pinscope.toml"];
        let output = said(folder.path(), &arguments);
        let report: Value = serde_json::from_slice(&output.stdout).expect("it prints JSON");
        let checks = report["checks"].as_array().expect("a list").clone();
        let found = checks.into_iter().find(|it| it["name"] == name);
        found.unwrap_or_else(|| panic!("no {name}"))["state"].clone()
    };
    assert_eq!(state("configuration"), "ok");
    assert_eq!(state("web config"), "missing", "the file is not there");
    fs::write(folder.path().join("web.yml"), "").expect("it can be written");
    assert_eq!(state("web config"), "ok");
    write(folder.path(), "web_config = 'web.yml'\n");
    assert_eq!(state("configuration"), "missing");
}

#[test]
fn a_hangup_takes_over_what_changed_and_the_service_manager_hears_it() {
    let folder = folder("log = 'info'\n");
    let agent = Agent::start(folder.path(), SWITCHED_OFF);
    write(
        folder.path(),
        "suspect-after = '2h'\nwriteback-hooks = 'never'\n",
    );
    agent.hang_up();
    agent.logs(
        "settings were read again from pinscope.toml: writeback-hooks from auto to never, \
         suspect-after from 1h to 2h",
    );
    agent.hang_up();
    agent.logs("pinscope.toml: nothing changed");
}

#[test]
fn a_hangup_that_cannot_be_heeded_in_full_changes_nothing_and_says_why() {
    let folder = folder("log = 'info'\n");
    let agent = Agent::start(folder.path(), SWITCHED_OFF);
    for (text, why) in [
        (
            "suspect-after = '2h'\nowners = 64\n",
            "owners from 4096 to 64",
        ),
        (
            "suspect-after = '2h'\nattach = 'magic'\n",
            "pinscope.toml:2: invalid value 'magic'",
        ),
        ("suspect-after = \n", "pinscope.toml:1: it is not TOML"),
    ] {
        write(folder.path(), text);
        agent.hang_up();
        let line = agent.logs("settings are as before");
        assert!(line.contains(why), "{line}");
    }
    fs::remove_file(folder.path().join("pinscope.toml")).expect("it can be removed");
    agent.hang_up();
    agent.logs("cannot read pinscope.toml");
    // Had any of it been taken over, this would be no change.
    write(folder.path(), "suspect-after = '2h'\n");
    agent.hang_up();
    agent.logs("pinscope.toml: suspect-after from 1h to 2h");
}

#[test]
fn what_is_logged_changes_with_the_file() {
    let folder = folder("log = 'warn'\n");
    let agent = Agent::start(folder.path(), SWITCHED_OFF);
    write(folder.path(), "log = 'info'\n");
    agent.hang_up();
    agent.logs("log from warn to info");
    write(folder.path(), "log = 'error'\n");
    agent.hang_up();
    agent.logs("log from info to error");
    write(folder.path(), "owners = 64\n");
    agent.hang_up();
    write(folder.path(), "log = 'info'\n");
    agent.hang_up();
    let line = agent.logs("settings");
    assert!(
        line.contains("from error to info"),
        "a warning was logged: {line}"
    );
}

#[test]
fn another_file_that_switches_it_off_is_heeded_at_once() {
    let folder = folder("off-file = 'off'\n");
    fs::write(folder.path().join("another"), "").expect("it can be written");
    let agent = Agent::start(folder.path(), &[]);
    write(folder.path(), "off-file = 'another'\n");
    agent.hang_up();
    agent.logs("off-file from off to another");
    agent.hears("STATUS=switched off: another is there; nothing is attached");
}
