//! What the agent refuses: it says why in one line, names the way out, ends with 2 (with 1 where
//! trying again may help), and leaves nothing behind.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use rustix::thread::CapabilitySet;

use crate::agent::{Ended, free_address, run_to_end};
use crate::bench::Bench;
use crate::caller::{HandedOn, NOBODY, SERVICE, Setting, after, after_mounts};
use crate::forbidden::{BLACKLIST, Forbidden};

/// Over it lies a file of the kernel that can only be written to.
pub(super) const UNREADABLE_LIST: &str = "mount --bind /proc/sysrq-trigger /proc/kallsyms";

const WALK: [&str; 2] = ["folio_mkclean", "page_mkclean"];

/// Whether the kernel would let anybody load programs of the harmless kinds makes no difference.
pub(super) fn without_privileges_it_names_what_is_missing_and_the_way_out(
    bench: &Bench,
) -> Result<()> {
    for disabled in ["0", "2"] {
        let _setting = Setting::set("/proc/sys/kernel/unprivileged_bpf_disabled", disabled)?;
        let ended = refused_run(bench, &[], |command| {
            command.uid(NOBODY).gid(NOBODY);
        })?;
        check_refused(&ended, "CAP_BPF, CAP_PERFMON, CAP_SYSLOG")?;
        ensure!(
            ended.log.contains("root") && ended.log.contains("AmbientCapabilities"),
            "no way out is named: {}",
            ended.log
        );
        for (missing, name) in [
            (CapabilitySet::BPF, "CAP_BPF;"),
            (CapabilitySet::PERFMON, "CAP_PERFMON;"),
            (CapabilitySet::SYSLOG, "CAP_SYSLOG;"),
        ] {
            let rest = HandedOn::new(SERVICE.difference(missing))?;
            let ended = refused_run(bench, &[], |command| rest.to(command))?;
            check_refused(&ended, &format!("this process lacks {name}"))?;
        }
    }
    Ok(())
}

/// Debian's default, which keeps kprobes from a service and leaves it fentry.
pub(super) fn kprobes_that_a_setting_keeps_from_a_service_are_told_with_the_setting(
    bench: &Bench,
) -> Result<()> {
    bench.needs_an_agent()?;
    let _paranoid = Setting::set("/proc/sys/kernel/perf_event_paranoid", "3")?;
    let handed = HandedOn::new(SERVICE)?;
    // The usual place for it is root's, or made by the service manager.
    let socket = std::env::temp_dir().join("kernel-tests-service.sock");
    let socket = socket.to_string_lossy();
    let arguments = ["--attach", "kprobe", "--socket", &*socket];
    let ended = refused_run(bench, &arguments, |command| handed.to(command))?;
    check_refused(&ended, "sysctl kernel.perf_event_paranoid=2")?;
    ensure!(
        ended.log.contains("fentry works here"),
        "the other way is not named: {}",
        ended.log
    );
    Ok(())
}

pub(super) fn a_kernel_without_btf_is_named(bench: &Bench) -> Result<()> {
    let ended = refused_in(bench, "mount -t tmpfs none /sys/kernel/btf", &[])?;
    check_refused(&ended, "CONFIG_DEBUG_INFO_BTF=y")
}

pub(super) fn kprobes_that_are_switched_off_are_told_with_the_switch(bench: &Bench) -> Result<()> {
    bench.needs_an_agent()?;
    let _off = Setting::set("/sys/kernel/debug/kprobes/enabled", "0")?;
    let ended = refused_run(bench, &["--attach", "kprobe"], |_command| {})?;
    check_refused(&ended, "echo 1 > /sys/kernel/debug/kprobes/enabled")
}

/// No function of the catalogue is on any kernel's list, which is made when it is compiled: a module
/// that is made here puts one there, and the kernel then refuses every kprobe on it. The list is
/// root's to read; who does not see it learns the same from the refusal.
pub(super) fn a_hook_on_the_blacklist_of_kprobes_is_told_with_the_list(
    bench: &Bench,
) -> Result<()> {
    bench.needs_an_agent()?;
    let symbols = fs::read_to_string("/proc/kallsyms")?;
    let is_there = |symbol: &&str| symbols.contains(&format!(" T {symbol}\n"));
    let symbol = WALK.into_iter().find(is_there).context("no walk")?;
    let _forbidden = Forbidden::function(symbol)?;
    let by_kprobe = ["--attach", "kprobe"];
    let hidden = "mount -t tmpfs none /sys/kernel/debug";
    for ended in [
        refused_run(bench, &by_kprobe, |_command| {})?,
        refused_in(bench, hidden, &by_kprobe)?,
    ] {
        check_refused(&ended, BLACKLIST)?;
        ensure!(
            ended.log.contains(symbol) && ended.log.contains("--attach auto"),
            "function or way out is not named: {}",
            ended.log
        );
    }
    Ok(())
}

/// Maps are charged to the cgroup or, before that, to the process, and never to both. The first limit
/// leaves the agent itself alone and has no room for a ledger of 320 MiB; the second has none for any.
pub(super) fn maps_without_room_are_told_with_the_limit_that_they_are_charged_to(
    bench: &Bench,
) -> Result<()> {
    bench.needs_an_agent()?;
    let script = "cd /sys/fs/cgroup; echo +memory > cgroup.subtree_control; mkdir -p tight; \
                  echo 160M > tight/memory.max; echo $$ > tight/cgroup.procs";
    let arguments = ["--ledger-folios", "8388608", "--duration", "1s"];
    let by_cgroup = refused_in(bench, script, &arguments)?;
    if !by_cgroup.status.success() {
        // There may be room a moment later: the service manager is to try again.
        return check_no_room(&by_cgroup, 1, ["MemoryMax=", "--ledger-folios"]);
    }
    let _open = Setting::set("/proc/sys/kernel/perf_event_paranoid", "2")?;
    let handed = HandedOn::new(SERVICE)?;
    let socket = std::env::temp_dir().join("kernel-tests-service.sock");
    let socket = socket.to_string_lossy();
    let by_process = refused_run(
        bench,
        &["--socket", &*socket, "--duration", "1s"],
        |command| {
            *command = after(command, "ulimit -l 64");
            handed.to(command);
        },
    )?;
    check_no_room(&by_process, 2, ["LimitMEMLOCK=infinity", "ulimit -l"])
}

fn check_no_room(ended: &Ended, code: i32, ways_out: [&str; 2]) -> Result<()> {
    check_ended(ended, code, "the eBPF map `")?;
    ensure!(
        ways_out.iter().all(|way| ended.log.contains(way)),
        "no way out is named: {}",
        ended.log
    );
    Ok(())
}

pub(super) fn a_list_of_functions_that_cannot_be_read_is_named_where_it_is_needed(
    bench: &Bench,
) -> Result<()> {
    bench.needs_an_agent()?;
    // There the kernel prints the list, whatever it hides.
    let is_needed = !fs::read_to_string("/proc/kallsyms")?.contains(" bpf_iter_ksym\n");
    for hidden in ["0", "2"] {
        let _hidden = Setting::set("/proc/sys/kernel/kptr_restrict", hidden)?;
        let ended = refused_in(bench, UNREADABLE_LIST, &["--duration", "100ms"])?;
        match is_needed {
            true => check_refused(&ended, "/proc/kallsyms")?,
            false => ensure!(ended.status.success(), "{}: {}", ended.status, ended.log),
        }
    }
    Ok(())
}

pub(super) fn a_recording_that_cannot_be_written_is_told_before_anything_is_attached(
    bench: &Bench,
) -> Result<()> {
    bench.end_shared()?;
    let address = free_address()?.to_string();
    let path = "/nowhere/pins.rec";
    let arguments = ["record", "--log", "error", "--listen", &address, "-o", path];
    let ended = run_to_end(bench, &arguments, |_command| {})?;
    check_refused(&ended, path)
}

pub(super) fn a_busy_port_is_one_clear_line(bench: &Bench) -> Result<()> {
    let busy = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = busy.local_addr()?.to_string();
    let ended = run_to_end(bench, &["run", "--listen", &address], |_command| {})?;
    check_refused(&ended, &address)?;
    check_refused(&ended, "--listen takes another")
}

pub(super) fn a_second_agent_is_refused_and_named_the_first(bench: &Bench) -> Result<()> {
    let first = bench.shared_agent(&[])?;
    let at_its_port = first.address().to_string();
    let elsewhere = free_address()?.to_string();
    let number = first.pid().to_string();
    for address in [&at_its_port, &elsewhere] {
        let ended = run_to_end(bench, &["run", "--listen", address], |_command| {})?;
        check_refused(&ended, &format!("process id {number} "))?;
    }
    // The first one is none the worse for it.
    first.scrape()?;
    Ok(())
}

pub(super) fn bad_arguments_are_refused_by_name(bench: &Bench) -> Result<()> {
    for (arguments, named) in [
        (&["run", "--listen", "nowhere"][..], "--listen"),
        (&["run", "--ring-bytes", "12"], "--ring-bytes"),
        (&["run", "--attach", "magic"], "--attach"),
        (&["run", "--duration", "soon"], "--duration"),
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

/// `pinscope run` with these arguments besides, which is to be refused.
pub(super) fn refused_run(
    bench: &Bench,
    arguments: &[&str],
    last_word: impl FnOnce(&mut Command),
) -> Result<Ended> {
    bench.end_shared()?;
    let address = free_address()?.to_string();
    let arguments = [&["run", "--log", "error", "--listen", &address], arguments].concat();
    run_to_end(bench, &arguments, last_word)
}

/// The same in surroundings that `script` makes.
pub(super) fn refused_in(bench: &Bench, script: &str, arguments: &[&str]) -> Result<Ended> {
    refused_run(bench, arguments, |command| {
        *command = after_mounts(command, script);
    })
}

pub(super) fn check_refused(ended: &Ended, named: &str) -> Result<()> {
    check_ended(ended, 2, named)
}

fn check_ended(ended: &Ended, code: i32, named: &str) -> Result<()> {
    let complaints = ended
        .log
        .lines()
        .filter(|line| !line.trim().is_empty())
        .count();
    ensure!(
        ended.status.code() == Some(code) && ended.log.contains(named) && complaints == 1,
        "exit code {code} and one line that names {named} were due; it ended with {} and said: {}",
        ended.status,
        ended.log
    );
    Ok(())
}
