//! The agent as a service, in Debian systems with the systemd and the kernel of their release.
//! Leaves out the tests themselves, which are the lab's `service-tests`.

use anyhow::ensure;

use super::Count;
use crate::{
    lab::{heard, packages},
    say,
};

/// Bookworm's kernel and trixie's.
pub(super) const KERNELS: [&str; 2] = ["6.1", "6.12"];

/// Seconds after which a guest counts as hung.
const TIMEOUT: &str = "1500";

pub(super) fn check() -> Count {
    let mut count = Count::default();
    for kernel in KERNELS {
        say::step(
            "test",
            format_args!("Debian {} on {kernel}", packages::suite_of(kernel)),
        );
        let mut here = Count::default();
        if let Err(error) = test(kernel, &mut here) {
            say::step("test", format_args!("FAILED: {error:#}"));
            // A test that failed was counted already; a guest that did was not.
            here.failed = here.failed.max(1);
        }
        count.add(here);
    }
    count
}

fn test(kernel: &str, count: &mut Count) -> anyhow::Result<()> {
    let guest = ["--systemd", "--built", "--kernel", kernel];
    let command = ["--timeout", TIMEOUT, "--", "service-tests"];
    let status = heard::run(guest.iter().chain(&command), |line| {
        println!("{line}");
        match line.split(' ').next() {
            Some("ok") => count.passed += 1,
            Some("FAIL") => count.failed += 1,
            _ => {}
        }
        Ok(())
    })?;
    ensure!(status.success(), "service-tests ended with {status}");
    ensure!(count.passed > 0, "service-tests ran no test");
    Ok(())
}
