//! One cell of the matrix: the kernel tests in a guest of one kernel, attached in one way.
//! Leaves out the tests themselves, which are the lab's `kernel-tests`, and what is expected of them.

use std::{fmt, time::Instant};

use anyhow::ensure;
use clap::ValueEnum;
use serde::Serialize;
use serde_json::Value;

use super::verifier::{Line, Program};
use crate::{kernels, lab::heard, say};

/// Seconds after which a guest counts as hung.
const TIMEOUT: &str = "1500";

/// Modules that workloads use where the kernel has them; where it has not, their tests are absent.
const MODULES: [&str; 5] = [
    "vhost_vsock",
    "crc32_generic",
    "ib_uverbs",
    "rdma_rxe",
    "nbd",
];

/// How the agent is told to attach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    /// As it likes best
    Auto,
    /// By BPF trampolines only
    Fentry,
    /// By kprobes only
    Kprobe,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Auto => "auto",
            Self::Fentry => "fentry",
            Self::Kprobe => "kprobe",
        })
    }
}

/// Which tests, and what guest those need: the kernel tests' own sets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Set {
    /// Those that any guest will do for
    #[default]
    Usual,
    /// Programs of Debian, and drivers of its kernels for any machine, such as 6.12-generic
    Programs,
    /// Those that take several GiB of memory
    Large,
    /// Those that take minutes each
    Long,
    /// Those of a machine as servers are: two nodes, huge pages of 1 GiB, no vmemmap for huge pages
    Servers,
    /// Those of a machine with one CPU; QEMU does not always wake one with more from suspend
    Single,
}

impl Set {
    /// What the lab is told of the guest.
    fn guest(self) -> &'static [&'static str] {
        match self {
            Self::Usual | Self::Long => &["--memory", "2G"],
            Self::Programs => &[
                "--memory",
                "3G",
                "--package",
                "fio,stress-ng,iproute2,ibverbs-utils,ibverbs-providers,xfsprogs",
            ],
            // What programs have lies first in memory that can be unplugged, as on some servers.
            Self::Large => &["--memory", "7G", "--append", "movablecore=512M"],
            Self::Servers => &[
                "--memory",
                "6G",
                "--nodes",
                "2",
                "--append",
                "hugetlb_free_vmemmap=on hugepagesz=1G hugepages=1",
            ],
            Self::Single => &["--memory", "1G", "--cpus", "1"],
        }
    }

    /// Modules that its tests look for, beside those that all do.
    fn modules(self) -> &'static [&'static str] {
        match self {
            Self::Usual | Self::Large | Self::Long | Self::Servers | Self::Single => &[],
            Self::Programs => &["scsi_debug", "sd_mod", "xfs"],
        }
    }
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Usual => "usual",
            Self::Programs => "programs",
            Self::Large => "large",
            Self::Long => "long",
            Self::Servers => "servers",
            Self::Single => "single",
        })
    }
}

/// What is done in the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Work {
    pub(crate) set: Set,
    /// Tests whose names contain one of these; all of them if there is none, no test if absent.
    pub(crate) tests: Option<Vec<String>>,
    /// Whether those are among them that the way to attach has no bearing on: one cell of a kernel
    /// is enough.
    pub(crate) either_way: bool,
    /// Whether each program is loaded once, to ask what the verifier makes of it.
    pub(crate) verifier: bool,
}

/// One guest.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    pub(crate) kernel: String,
    pub(crate) mode: Mode,
    pub(crate) work: Work,
}

/// A test that did not pass, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Told {
    pub(crate) test: String,
    pub(crate) why: String,
}

/// What became of a cell.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Outcome {
    pub(crate) passed: Vec<String>,
    pub(crate) failed: Vec<Told>,
    /// Tests that do not apply there.
    pub(crate) absent: Vec<Told>,
    /// What the agent's choice is made from there, where the verifier was asked.
    #[serde(skip)]
    pub(crate) facts: Option<Value>,
    #[serde(skip)]
    pub(crate) programs: Vec<Program>,
    pub(crate) seconds: f32,
}

impl Cell {
    /// Boots the guest and follows it. What goes wrong with the guest itself is a failure, too.
    pub(crate) fn run(&self) -> Outcome {
        let start = Instant::now();
        let mut outcome = Outcome::default();
        if let Err(error) = self.follow(&mut outcome) {
            say::step(
                "guest",
                format_args!("FAILED {} {}: {error:#}", self.kernel, self.mode),
            );
            // A guest that ended early has tests that nobody counted; one that
            // counted a failure ends in one for that very reason.
            if outcome.failed.is_empty() {
                outcome.failed.push(Told {
                    test: "the_guest_comes_to_its_end".to_owned(),
                    why: format!("{error:#}"),
                });
            }
        }
        outcome.seconds = start.elapsed().as_secs_f32();
        outcome
    }

    /// The very command that a person would give, so that a failure is repeated by hand.
    fn follow(&self, outcome: &mut Outcome) -> anyhow::Result<()> {
        let kernel = kernels::store::bring(&kernels::locked(&self.kernel)?)?;
        let modules = [&MODULES[..], self.work.set.modules()].concat();
        let modules = kernels::modules::at_hand(&kernel, &modules)?;
        let script = self.script();
        let mut arguments = vec!["--built", "--kernel", &self.kernel];
        arguments.extend(["--disk", "1G:ext4", "--timeout", TIMEOUT]);
        arguments.extend(self.work.set.guest());
        arguments.extend(modules.iter().flat_map(|name| ["--module", name]));
        arguments.extend(["--", "sh", "-ec", &script, "kernel-tests"]);
        arguments.extend(self.work.tests.iter().flatten().map(String::as_str));
        let status = heard::run(arguments, |line| self.hear(line, outcome))?;
        ensure!(status.success(), "the lab ended with {status}");
        let told = outcome.passed.len() + outcome.absent.len();
        ensure!(self.work.tests.is_none() || told > 0, "no kernel test ran");
        Ok(())
    }

    fn script(&self) -> String {
        let mut script = String::new();
        if self.work.verifier {
            script += "pinscope verify; ";
        }
        if self.work.tests.is_some() {
            let set = self.work.set;
            script += &format!("kernel-tests --attach {} --set {set}", self.mode);
            if !self.work.either_way {
                script += " --this-way-only";
            }
            script += " \"$@\"";
        }
        script
    }

    fn hear(&self, line: &str, outcome: &mut Outcome) -> anyhow::Result<()> {
        if line.starts_with('{') {
            match Line::read(line)? {
                Line::Facts(facts) => outcome.facts = Some(facts),
                Line::Program(program) => outcome.programs.push(program),
            }
            return Ok(());
        }
        eprintln!("{:<5} {:<6} {line}", self.kernel, self.mode);
        let told = |rest: &str| {
            let (test, why) = rest.split_once(": ").unwrap_or((rest, ""));
            Told {
                test: test.to_owned(),
                why: why.to_owned(),
            }
        };
        match line.split_once(' ') {
            Some(("ok", rest)) => {
                let name = rest.trim_start().split(' ').next().unwrap_or_default();
                outcome.passed.push(name.to_owned());
            }
            Some(("FAIL", rest)) => outcome.failed.push(told(rest)),
            Some(("absent", rest)) => outcome.absent.push(told(rest)),
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_the_kernel_tests_are_understood() {
        let cell = Cell {
            kernel: "6.12".into(),
            mode: Mode::Kprobe,
            work: Work {
                set: Set::Usual,
                tests: Some(Vec::new()),
                either_way: true,
                verifier: true,
            },
        };
        let mut outcome = Outcome::default();
        for line in [
            "ok   a_test (1.5 s)",
            "FAIL another: because: of this",
            "absent third: the kernel has none",
            r#"{"program":"zap_kprobe","instructions":7,"load_ms":1}"#,
            "1 passed, 1 failed, 1 absent",
        ] {
            cell.hear(line, &mut outcome).unwrap();
        }
        assert_eq!(outcome.passed, ["a_test"]);
        assert_eq!(outcome.failed[0].test, "another");
        assert_eq!(outcome.failed[0].why, "because: of this");
        assert_eq!(outcome.absent[0].why, "the kernel has none");
        assert_eq!(outcome.programs.len(), 1);
    }
}
