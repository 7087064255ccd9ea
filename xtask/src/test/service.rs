//! The agent as the service of its Debian package, in Debian systems with the systemd and the kernel of
//! their release. Leaves out the tests themselves, which are the lab's `service-tests`.

use std::path::Path;

use anyhow::{Context as _, ensure};

use super::{Count, Job};
use crate::{
    arch::Arch,
    build,
    lab::{heard, packages},
    package, say,
};

/// Bookworm's kernel and trixie's.
pub(super) const KERNELS: [&str; 2] = ["6.1", "6.12"];

/// Seconds after which a guest counts as hung.
const TIMEOUT: &str = "1800";

/// Where what is tested lies in the guest.
const FIRST: &str = "/root/first.deb";
const LATER: &str = "/root/later.deb";

/// The packages are made here; then it is a job for each kernel, and one for what is in them.
pub(super) fn jobs() -> anyhow::Result<Vec<Job>> {
    let guest = prepare()?;
    let mut jobs: Vec<_> = KERNELS
        .into_iter()
        .map(|kernel| {
            let guest = guest.clone();
            Job::new(format!("service {kernel}"), move || test(kernel, &guest))
        })
        .collect();
    jobs.push(Job::new("package", move || Count::of_one(lintian(&guest))));
    Ok(jobs)
}

/// What a guest is told of what it gets: packages, and programs to test with. The agent is in the
/// packages alone.
fn prepare() -> anyhow::Result<Vec<String>> {
    let mut guest = ["--systemd", "--bare"].map(str::to_owned).to_vec();
    let mut copy = |file: &Path, place: &str| {
        let file = file.to_str().context("a file has a plain name")?;
        guest.extend(["--copy".to_owned(), format!("{file}:{place}")]);
        anyhow::Ok(())
    };
    copy(&package::make(Arch::HOST, 1)?, FIRST)?;
    copy(&package::make(Arch::HOST, 2)?, LATER)?;
    for binary in build::guest::built(Arch::HOST)? {
        if ["service-tests", "workload"].contains(&binary.name.as_str()) {
            copy(&binary.path, &format!("/usr/local/bin/{}", binary.name))?;
        }
    }
    Ok(guest)
}

/// Debian's own checker.
fn lintian(guest: &[String]) -> anyhow::Result<()> {
    let words = [
        "--package",
        "lintian",
        "--timeout",
        TIMEOUT,
        "--",
        "lintian",
    ];
    let status = heard::run(
        guest.iter().map(String::as_str).chain(words).chain([
            "--allow-root",
            "--fail-on",
            "error,warning",
            FIRST,
        ]),
        |line| {
            println!("{line}");
            Ok(())
        },
    )?;
    ensure!(status.success(), "lintian ended with {status}");
    Ok(())
}

fn test(kernel: &str, guest: &[String]) -> Count {
    let release = packages::suite_of(kernel);
    say::step("test", format_args!("Debian {release} on {kernel}"));
    let mut count = Count::default();
    let words = [
        "--kernel",
        kernel,
        "--timeout",
        TIMEOUT,
        "--",
        "service-tests",
    ];
    let tested = heard::run(
        guest
            .iter()
            .map(String::as_str)
            .chain(words)
            .chain(["--packages", FIRST, LATER]),
        |line| {
            println!("service {kernel:<6} {line}");
            match line.split_once(' ') {
                Some(("ok", _)) => count.passed += 1,
                Some(("FAIL", told)) => count.failed.push(told.trim().to_owned()),
                _ => {}
            }
            Ok(())
        },
    );
    count.end(tested.and_then(|status| {
        ensure!(status.success(), "service-tests ended with {status}");
        ensure!(count.passed > 0, "service-tests ran no test");
        Ok(())
    }));
    count
}
