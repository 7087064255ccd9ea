//! `cargo xtask`: everything that is done with this repository, one module per verb.
//! Leaves out what runs inside a guest, which is the `lab` crate.

mod arch;
mod build;
mod checksum;
mod cost;
mod debian;
mod fuzz;
mod guard;
mod kernels;
mod lab;
mod matrix;
mod model;
mod package;
mod paths;
mod process;
mod run;
mod say;
mod setup;
mod test;

use std::process::ExitCode;

use clap::Parser;

/// Build, run and test pinscope.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Verb {
    /// Bring every tool that building and the lab need and that is missing
    Setup,
    /// Build the eBPF objects, the agent and the lab's guest binaries
    Build(build::Options),
    /// Make the Debian package
    Package(package::Options),
    /// Run the agent live, on this host or in the lab
    Run(run::Options),
    /// Run every check and every test, on several kernels too
    Test(test::Options),
    /// Run the kernel tests on every kernel of the lab, attached in either way
    Matrix(matrix::Options),
    /// Search every interleaving of the modelled page, and check the document that tells of it
    Model(model::Options),
    /// Hand changed input to everything that parses, for a time
    Fuzz(fuzz::Options),
    /// Measure what the probes cost, and write docs/cost.md anew
    Cost(cost::Options),
    /// Boot a stock kernel under QEMU and run a command in it, or a shell
    Lab(lab::Options),
    /// Look after the lab's kernels
    Kernels(kernels::Options),
    #[command(hide = true)]
    Guard(guard::Options),
}

fn main() -> ExitCode {
    let done = match Verb::parse() {
        Verb::Setup => setup::all(arch::Arch::HOST).map(|()| ExitCode::SUCCESS),
        Verb::Build(options) => build::verb(&options).map(|()| ExitCode::SUCCESS),
        Verb::Package(options) => package::verb(&options).map(|()| ExitCode::SUCCESS),
        Verb::Run(options) => run::verb(&options),
        Verb::Test(options) => test::verb(&options),
        Verb::Matrix(options) => matrix::verb(&options),
        Verb::Model(options) => model::verb(&options),
        Verb::Fuzz(options) => fuzz::verb(&options),
        Verb::Cost(options) => cost::verb(&options),
        Verb::Lab(options) => lab::verb(options),
        Verb::Kernels(options) => kernels::verb(&options).map(|()| ExitCode::SUCCESS),
        Verb::Guard(options) => guard::verb(options),
    };
    done.unwrap_or_else(|error| {
        let refused = error.downcast_ref::<Refused>().is_some();
        eprintln!("error: {error:#}");
        ExitCode::from(if refused { 2 } else { 1 })
    })
}

/// The request itself cannot be carried out here; exit code 2, nothing was started.
#[derive(Debug)]
struct Refused(String);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

/// An error with exit code 2.
fn refused(why: impl Into<String>) -> anyhow::Error {
    Refused(why.into()).into()
}
