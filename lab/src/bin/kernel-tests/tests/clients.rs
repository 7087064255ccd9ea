//! Clients that take up room, and say or read nothing: whoever asks is still answered, and the agent
//! goes on.

use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;

use anyhow::{Context, Result, ensure};
use rustix::net::{AddressFamily, SocketType, connect, socket, sockopt};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::agent::run_to_end;
use crate::bench::Bench;
use crate::holders::ask;
use crate::wait::{Look, until};

/// Connections that nobody uses, of each kind.
const IDLE: usize = 70;

/// Connections over which much is asked for and nothing is read: more than there is room for at once.
const GREEDY: usize = 96;

/// What each of them asks for, again and again.
const SCRAPE: &str = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
const SCRAPES: usize = 40;

/// What the agent may take for them, beside what one scrape takes.
const MOST_KIB: u64 = 8 * 1024;

/// Descriptors that the agent may still open: fewer than there are clients.
const LEFT: u64 = 40;

pub(super) const SOCKET: &str = "/run/pinscope/pinscope.sock";

pub(super) fn seventy_idle_connections_and_no_descriptors_left_keep_nobody_from_an_answer(
    bench: &Bench,
) -> Result<()> {
    let agent = bench.shared_agent(&[])?;
    let few = Few::of(agent.pid())?;
    let mut idle_http = Vec::new();
    let mut idle_socket = Vec::new();
    for _client in 0..IDLE {
        idle_http.push(TcpStream::connect(agent.address())?);
        idle_socket.push(UnixStream::connect(SOCKET).context(SOCKET)?);
    }
    // Whoever asks may be told to ask again, for a time: idle clients are let go.
    until("an answer beside idle clients", bench.patience, || {
        let ended = run_to_end(bench, &["pins", "--format", "json"], |_command| {})?;
        Ok(if ended.status.success() {
            Look::Done(())
        } else {
            Look::NotYet(ended.log)
        })
    })?;
    until("a scrape beside idle clients", bench.patience, || {
        Ok(match agent.scrape() {
            Ok(_) => Look::Done(()),
            Err(error) => Look::NotYet(format!("{error:#}")),
        })
    })?;
    drop(few);
    drop((idle_http, idle_socket));
    let report = ask(bench, "process", &[])?;
    ensure!(report.pins == 0, "{report:?}");
    Ok(())
}

pub(super) fn clients_that_ask_and_read_nothing_take_little_memory_and_are_let_go(
    bench: &Bench,
) -> Result<()> {
    let agent = bench.shared_agent(&[])?;
    agent.scrape()?;
    let before = peak_kib(agent.pid())?;
    let mut greedy = Vec::new();
    for _client in 0..GREEDY {
        greedy.push(ask_and_read_nothing(agent.address())?);
    }
    // Behind all of them.
    until("a scrape beside greedy clients", bench.patience, || {
        Ok(match agent.scrape() {
            Ok(_) => Look::Done(()),
            Err(error) => Look::NotYet(format!("{error:#}")),
        })
    })?;
    let grown = peak_kib(agent.pid())?.saturating_sub(before);
    ensure!(grown <= MOST_KIB, "it took {grown} KiB more");
    drop(greedy);
    Ok(())
}

/// With hardly any room at this end.
fn ask_and_read_nothing(address: SocketAddr) -> Result<TcpStream> {
    let client = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    sockopt::set_socket_recv_buffer_size(&client, 1)?;
    connect(&client, &address)?;
    let mut client = TcpStream::from(client);
    client.write_all(SCRAPE.repeat(SCRAPES).as_bytes())?;
    Ok(client)
}

/// The most memory that the process ever had.
fn peak_kib(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let peak = status.lines().find_map(|it| it.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|it| it.trim().strip_suffix(" kB")?.parse().ok());
    peak.with_context(|| format!("no peak in {status}"))
}

/// While it lives, a process can open only a few more files.
struct Few {
    pid: Option<Pid>,
    before: Rlimit,
}

impl Few {
    fn of(pid: u32) -> Result<Self> {
        let open = fs::read_dir(format!("/proc/{pid}/fd"))?.count() as u64;
        let pid = Pid::from_raw(pid.cast_signed());
        let few = Rlimit {
            current: Some(open + LEFT),
            maximum: Some(open + LEFT),
        };
        let before = prlimit(pid, Resource::Nofile, few)?;
        Ok(Self { pid, before })
    }
}

impl Drop for Few {
    fn drop(&mut self) {
        // The guest's other tests would tell.
        let _tests_tell = prlimit(self.pid, Resource::Nofile, self.before);
    }
}
