//! An agent that is switched off: it attaches nothing, and serves HTTP.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

/// A running agent; it ends with this.
pub(crate) struct Agent {
    child: Child,
    /// Of its metrics.
    pub(crate) url: String,
    /// Host and port.
    pub(crate) address: String,
}

impl Agent {
    /// Starts one with this web configuration, which is put into the folder.
    pub(crate) fn start(folder: &Path, web_config: &str) -> Self {
        let mut child = command(folder, web_config).spawn().expect("it starts");
        let log = child.stderr.take().expect("it has a log");
        let mut lines = BufReader::new(log).lines();
        let mut said = Vec::new();
        let url = loop {
            let line = lines.next().unwrap_or_else(|| panic!("it ended: {said:?}"));
            let line = line.expect("its log is text");
            if let Some((_, url)) = line.split_once("serving ") {
                break url.trim().to_owned();
            }
            said.push(line);
        };
        // A log that nobody reads would fill its pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let (_, rest) = url.split_once("://").expect("it is a URL");
        let address = rest.split('/').next().unwrap_or_default().to_owned();
        Self {
            child,
            url,
            address,
        }
    }

    /// CPU time that it has used.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let stat =
            fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("it is there");
        let (_, fields) = stat.rsplit_once(") ").expect("it has a name");
        let fields: Vec<&str> = fields.split(' ').collect();
        let ticks = |at: usize| fields[at].parse::<f64>().expect("it is a number");
        // User and system time are the 14th and 15th field, in ticks of a hundredth of a second.
        (ticks(11) + ticks(12)) / 100.0
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.child.kill().expect("it can be ended");
        self.child.wait().expect("it ends");
    }
}

/// What an agent says that does not start with this configuration.
pub(crate) fn refused(folder: &Path, web_config: &str) -> String {
    let output = command(folder, web_config).output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    said
}

fn command(folder: &Path, web_config: &str) -> Command {
    fs::write(folder.join("web.yml"), web_config).expect("it can be written");
    fs::write(folder.join("off"), "").expect("it can be written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_pinscope"));
    command
        .args(["run", "--listen", "127.0.0.1:0"])
        .args([
            "--web-config",
            "web.yml",
            "--off-file",
            "off",
            "--socket",
            "socket",
        ])
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}
