//! What the agent refuses: it says why in one line, names the way out, ends with 2, and
//! leaves nothing behind.

use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;

use anyhow::{Result, ensure};

use crate::agent::{Agent, Ended, free_address, run_to_end};
use crate::bench::Bench;

/// The user and group `nobody` of every distribution.
const NOBODY: u32 = 65534;

pub(super) fn without_privileges_it_names_what_is_missing_and_the_way_out(
    bench: &Bench,
) -> Result<()> {
    let address = free_address()?.to_string();
    let ended = run_to_end(bench, &["run", "--listen", &address], |command| {
        command.uid(NOBODY).gid(NOBODY);
    })?;
    check_refused(&ended, "CAP_")?;
    let way_out = ["root", "sudo", "setcap", "AmbientCapabilities"];
    ensure!(
        way_out.iter().any(|way| ended.log.contains(way)),
        "no way out is named: {}",
        ended.log
    );
    Ok(())
}

pub(super) fn a_busy_port_is_one_clear_line(bench: &Bench) -> Result<()> {
    let busy = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = busy.local_addr()?.to_string();
    let ended = run_to_end(bench, &["run", "--listen", &address], |_command| {})?;
    check_refused(&ended, &address)
}

pub(super) fn a_second_agent_is_refused(bench: &Bench) -> Result<()> {
    let first = Agent::start(bench, &[])?;
    let address = first.address().to_string();
    let ended = run_to_end(bench, &["run", "--listen", &address], |_command| {})?;
    check_refused(&ended, &address)?;
    // The first one is none the worse for it.
    first.scrape()?;
    first.end()
}

pub(super) fn bad_arguments_are_refused_by_name(bench: &Bench) -> Result<()> {
    for (arguments, named) in [
        (&["run", "--listen", "nowhere"][..], "--listen"),
        (&["run", "--ring-bytes", "12"], "--ring-bytes"),
        (&["run", "--attach", "magic"], "--attach"),
        (&["run", "--for", "soon"], "--for"),
        (&["frobnicate"], "frobnicate"),
    ] {
        let ended = run_to_end(bench, arguments, |_command| {})?;
        ensure!(
            ended.status.code() == Some(2) && ended.log.contains(named),
            "pinscope {} ended with {} and said: {}",
            arguments.join(" "),
            ended.status,
            ended.log
        );
    }
    Ok(())
}

fn check_refused(ended: &Ended, named: &str) -> Result<()> {
    let complaints = ended
        .log
        .lines()
        .filter(|line| !line.trim().is_empty())
        .count();
    ensure!(
        ended.status.code() == Some(2) && ended.log.contains(named) && complaints == 1,
        "exit code 2 and one line that names {named} were due; it ended with {} and said: {}",
        ended.status,
        ended.log
    );
    Ok(())
}
