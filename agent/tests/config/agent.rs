//! An agent that is switched off: what it logs, and what it tells its service manager.

use std::{
    cell::RefCell,
    collections::VecDeque,
    fs,
    io::{BufRead as _, BufReader},
    os::unix::net::UnixDatagram,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// How long something may take that comes at once.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running agent; it ends with this.
pub(crate) struct Agent {
    child: Child,
    log: Receiver<String>,
    manager: UnixDatagram,
    /// Lines that it was told, and nobody has asked for.
    told: RefCell<VecDeque<String>>,
}

impl Agent {
    /// Starts one with `pinscope.toml` and these flags, and waits until it is ready.
    pub(crate) fn start(folder: &Path, flags: &[&str]) -> Self {
        fs::write(folder.join("off"), "").expect("it can be written");
        let manager = UnixDatagram::bind(folder.join("notify")).expect("it can be bound");
        manager
            .set_read_timeout(Some(PATIENCE))
            .expect("it is not nothing");
        let mut child = Command::new(env!("CARGO_BIN_EXE_pinscope"))
            .args(["run", "--config", "pinscope.toml"])
            .args(["--listen", "127.0.0.1:0", "--socket", "socket"])
            .args(flags)
            .env("NOTIFY_SOCKET", folder.join("notify"))
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let lines = BufReader::new(child.stderr.take().expect("it has a log")).lines();
        let (told, log) = channel();
        // Whoever asks for lines may be gone.
        thread::spawn(move || {
            let lines = lines.map_while(Result::ok);
            lines.for_each(|it| drop(told.send(it)));
        });
        let agent = Self {
            child,
            log,
            manager,
            told: RefCell::default(),
        };
        agent.hears("READY=1");
        agent
    }

    /// The next line of its log that has this.
    pub(crate) fn logs(&self, wanted: &str) -> String {
        let until = Instant::now() + PATIENCE;
        let mut said = Vec::new();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(line) = self.log.recv_timeout(left) else {
                panic!("{wanted} is not in {said:?}");
            };
            if line.contains(wanted) {
                return line;
            }
            said.push(line);
        }
    }

    /// Waits until its service manager is told this. What came in one message with it is still to be
    /// heard.
    pub(crate) fn hears(&self, wanted: &str) {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            let next = self.told.borrow_mut().pop_front();
            match next {
                Some(line) if line == wanted => return,
                Some(_) => {}
                None => self.hear(),
            }
        }
        panic!("{wanted} never came");
    }

    /// The next message.
    fn hear(&self) {
        let mut message = [0; 4096];
        let length = self.manager.recv(&mut message).expect("something is told");
        let text = String::from_utf8_lossy(&message[..length]);
        let has = |what| text.lines().any(|it| it.starts_with(what));
        assert_eq!(has("MONOTONIC_USEC="), has("RELOADING=1"), "{text}");
        self.told
            .borrow_mut()
            .extend(text.lines().map(str::to_owned));
    }

    /// Has it read its file again, which its service manager is told.
    pub(crate) fn hang_up(&self) {
        kill_process(Pid::from_child(&self.child), Signal::HUP).expect("it runs");
        self.hears("RELOADING=1");
        self.hears("READY=1");
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Both fail if it has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
