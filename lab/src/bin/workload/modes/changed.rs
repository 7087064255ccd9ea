//! A process that pins, and is then another to whoever looks: it becomes another program, has another
//! name, or goes on without its first thread. Its pins stay its own.

use std::fs;
use std::io::Error;
use std::os::unix::process::CommandExt;
use std::process::{Command, exit};

use anyhow::{Result, ensure};
use rustix::thread::set_name;

use crate::counts::Counts;
use crate::kernel::memory::{Kind, Memory};
use crate::kernel::uring::Ring;
use crate::session::Session;
use lab::page::page_bytes;

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum How {
    /// It executes a shell, which has the ring.
    Exec,
    /// It calls itself `renamed`.
    Rename,
    /// It calls itself by bytes that are no text, and some that steer a terminal.
    Bytes,
    /// Its first thread ends, and another goes on.
    Thread,
}

/// How much, and what then.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Pages of 4 KiB pinned.
    #[arg(long, default_value_t = 32)]
    pages: usize,
    /// What becomes of the process.
    #[arg(value_enum)]
    how: How,
}

/// Phases: `held`, `changed`. Then it ends without a report.
pub(crate) fn run(args: &Args, session: &Session) -> Result<Counts> {
    let memory = Memory::make(Kind::Anon, &session.dir, args.pages * page_bytes())?;
    let ring = Ring::new()?;
    ring.register(memory.mapping.span())?;
    let counts = Counts {
        pages_pinned: args.pages as u64,
        calls: 1,
        ..Counts::default()
    };
    session.stay_in("held", &counts)?;
    match args.how {
        How::Exec => return Err(become_a_shell(&ring, &counts)?.into()),
        How::Rename => set_name(c"renamed")?,
        How::Bytes => set_name(c"\xff\x1b[31m\"\\\n\xd0")?,
        How::Thread => leave_to_another(session, counts)?,
    }
    session.stay_in("changed", &counts)?;
    exit(0)
}

/// Does not come back unless it fails.
fn become_a_shell(ring: &Ring, counts: &Counts) -> Result<Error> {
    ring.keep_in_exec()?;
    let counts = serde_json::to_string(counts)?;
    let line = format!(r#"{{"phase":"changed","counts":{counts}}}"#);
    let script = r#"echo "$1"; read word; exit 0"#;
    Ok(Command::new("sh").args(["-c", script, "sh", &line]).exec())
}

/// Comes back in nobody: the first thread ends here, and the process with the other.
fn leave_to_another(session: &Session, counts: Counts) -> Result<()> {
    let first = format!("/proc/self/task/{}/stat", std::process::id());
    let other = session.clone();
    std::thread::Builder::new()
        .name("heir".to_owned())
        .spawn(move || {
            let has_ended = || fs::read_to_string(&first).is_ok_and(|it| it.contains(") Z "));
            while !other.over() && !has_ended() {
                std::thread::yield_now();
            }
            let code = i32::from(other.stay_in("changed", &counts).is_err());
            exit(code);
        })?;
    // SAFETY: ends this thread alone; what it borrows to nobody stays mapped.
    let failed = unsafe { libc::syscall(libc::SYS_exit, 0) };
    ensure!(failed == 0, "a thread that cannot end");
    Ok(())
}
