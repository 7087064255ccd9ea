//! The command line.

use std::{net::SocketAddr, ops::Range, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};
use hooks::Attach;

use super::values::{duration, frames, ledger_folios, log_filter, owners, ring_bytes};
use crate::{census, collect::WritebackHooks, owners::By, views::output::Format};

/// Where the agent answers, and where it is asked.
const SOCKET: &str = "/run/pinscope/pinscope.sock";
const OFF_FILE: &str = "/etc/pinscope.off";

/// Observes pinned memory on a live kernel: who pins, for how long, and whether
/// writeback meets it.
#[derive(Debug, Parser)]
#[command(name = "pinscope", version, about, max_term_width = 100)]
pub(crate) struct Cli {
    /// What is logged: error, warn, info, debug, trace, or per module as in
    /// `RUST_LOG`.
    #[arg(
        long,
        global = true,
        env = "PINSCOPE_LOG",
        default_value = "info",
        value_parser = log_filter
    )]
    pub(crate) log: String,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Attach to the running kernel, judge, and export metrics.
    Run(RunOptions),
    /// Run, and write what the kernel sends to a file that can be replayed.
    Record(RecordOptions),
    /// Judge a recording, or a trace of the model, with the code that judges live.
    Replay(ReplayOptions),
    /// Ask the running agent who holds pins: how much, since when, and on whose behalf.
    Pins(PinsOptions),
    /// Look at every page of the machine, and say what is pinned now, whoever pinned it and when.
    Census(CensusOptions),
    /// Ask the running agent how good each estimator is.
    Verdicts(VerdictsOptions),
    /// Look for mistakes in the configuration file, or show which settings are in force.
    Config(ConfigOptions),
    /// Say what would work on this host and what is missing, changing nothing.
    Doctor(DoctorOptions),
    /// Load every probe, attach none, and print what the verifier did with it.
    #[command(hide = true)]
    Verify,
    /// Print what the documents are made from.
    #[command(hide = true)]
    Documents(DocumentsOptions),
}

impl Command {
    /// Of a run, whatever it is made for.
    pub(crate) fn run(&self) -> Option<&RunOptions> {
        match self {
            Self::Run(options) => Some(options),
            Self::Record(options) => Some(&options.run),
            Self::Config(ConfigOptions {
                verb: ConfigVerb::Show(options),
            }) => Some(&options.run),
            Self::Replay(_)
            | Self::Pins(_)
            | Self::Census(_)
            | Self::Verdicts(_)
            | Self::Config(_)
            | Self::Doctor(_)
            | Self::Verify
            | Self::Documents(_) => None,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct RunOptions {
    /// Configuration file, in TOML: its keys are the flags here, without the dashes. A flag wins over
    /// a variable, and both over the file. If nothing is said it is /etc/pinscope/pinscope.toml, if
    /// that is there. SIGHUP has it read again.
    #[arg(long, value_name = "FILE", env = "PINSCOPE_CONFIG")]
    pub(crate) config: Option<PathBuf>,

    /// Address that serves `/metrics`.
    #[arg(long, env = "PINSCOPE_LISTEN", default_value = "127.0.0.1:9969")]
    pub(crate) listen: SocketAddr,

    /// File that asks for TLS and passwords, in the format of Prometheus' exporter-toolkit. It is
    /// read again when it or its certificate changes.
    #[arg(long, value_name = "FILE", env = "PINSCOPE_WEB_CONFIG")]
    pub(crate) web_config: Option<PathBuf>,

    /// End by itself after this time, with a summary (30s, 5m, 1h).
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) duration: Option<Duration>,

    /// How to attach: fentry is cheaper, kprobe works on more kernels.
    #[arg(long, env = "PINSCOPE_ATTACH", default_value = "auto")]
    pub(crate) attach: Attach,

    /// When the hooks on writeback's walks and on unmaps are attached. They serve the estimators
    /// alone, and cost whoever unmaps memory or writes files.
    #[arg(long, env = "PINSCOPE_WRITEBACK_HOOKS", value_enum, default_value_t)]
    pub(crate) writeback_hooks: WritebackHooks,

    /// With `--writeback-hooks auto`: how long they stay after the last pin of a file's page. Shorter
    /// than writeback takes to come to it, they would miss its first walk.
    #[arg(
        long,
        value_name = "TIME",
        env = "PINSCOPE_WRITEBACK_CALM",
        default_value = "1m",
        value_parser = duration
    )]
    pub(crate) writeback_calm: Duration,

    /// Percent of one CPU that the census at the start may take, which finds what is pinned already
    /// and who maps it, such as 20; 0 for none.
    #[arg(
        long,
        value_name = "PERCENT",
        env = "PINSCOPE_CENSUS_CPU_PERCENT",
        default_value_t = 0,
        value_parser = clap::value_parser!(u32).range(0..=100)
    )]
    pub(crate) census_cpu_percent: u32,

    /// Size of the ring that carries samples: a power of two, at least one page.
    #[arg(long, env = "PINSCOPE_RING_BYTES", default_value_t = 1 << 20, value_parser = ring_bytes)]
    pub(crate) ring_bytes: u32,

    /// Folios that the ledger can hold, rounded up to a power of two; one takes
    /// 48 bytes of kernel memory. When it is full, it keeps a sample of folios.
    #[arg(long, env = "PINSCOPE_LEDGER_FOLIOS", default_value_t = 1 << 18, value_parser = ledger_folios)]
    pub(crate) ledger_folios: u32,

    /// Owners that can be told apart at once, rounded up to a power of two; one
    /// takes 512 bytes of kernel memory.
    #[arg(long, env = "PINSCOPE_OWNERS", default_value_t = 1 << 12, value_parser = owners)]
    pub(crate) owners: u32,

    /// Socket that answers `pinscope pins` and `pinscope verdicts`; one agent a socket.
    #[arg(long, env = "PINSCOPE_SOCKET", default_value = SOCKET)]
    pub(crate) socket: PathBuf,

    /// While this file is there, nothing is attached: an agent that runs detaches within seconds,
    /// and one that starts waits. When it is gone, the agent attaches again.
    #[arg(long, value_name = "FILE", env = "PINSCOPE_OFF_FILE", default_value = OFF_FILE)]
    pub(crate) off_file: PathBuf,

    /// Pins held for longer than this make their owner a suspect (30s, 10m, 1h).
    #[arg(
        long,
        value_name = "TIME",
        env = "PINSCOPE_SUSPECT_AFTER",
        default_value = "1h",
        value_parser = duration
    )]
    pub(crate) suspect_after: Duration,

    /// Form of the summary at the end.
    #[arg(long, default_value = "text")]
    pub(crate) summary: Format,
}

#[derive(Debug, Args)]
pub(crate) struct RecordOptions {
    /// File to write; what it held is gone.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: PathBuf,

    #[command(flatten)]
    pub(crate) run: RunOptions,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayOptions {
    /// A recording, or a trace as the model prints it.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// Form of the report.
    #[arg(long, default_value = "text")]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct PinsOptions {
    /// What the rows stand for.
    #[arg(long, default_value = "process")]
    pub(crate) by: By,

    /// Only what has been held for at least so long (500ms, 10s, 5m).
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) min_age: Option<Duration>,

    /// Only owners that are suspected of a leak.
    #[arg(long)]
    pub(crate) suspects: bool,

    /// Rows at most; the others are added up in one.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) top: usize,

    /// Socket of the agent.
    #[arg(long, env = "PINSCOPE_SOCKET", default_value = SOCKET)]
    pub(crate) socket: PathBuf,

    /// Form of the report.
    #[arg(long, default_value = "text")]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct CensusOptions {
    /// What the rows stand for.
    #[arg(long, default_value = "process")]
    pub(crate) by: census::By,

    /// Only these page frames, the last one not included; hexadecimal with 0x.
    #[arg(long, value_name = "PFN..PFN", value_parser = frames, conflicts_with = "block")]
    pub(crate) range: Option<Range<u64>>,

    /// Only this memory block, of /sys/devices/system/memory/memoryN.
    #[arg(long, value_name = "N")]
    pub(crate) block: Option<u64>,

    /// Rows at most; the others are added up in one.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) top: usize,

    /// How much of one CPU the walk takes at most, in percent.
    #[arg(long, value_name = "PERCENT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) cpu_percent: u32,

    /// Form of the report.
    #[arg(long, default_value = "text")]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct VerdictsOptions {
    /// Socket of the agent.
    #[arg(long, env = "PINSCOPE_SOCKET", default_value = SOCKET)]
    pub(crate) socket: PathBuf,

    /// Form of the report.
    #[arg(long, default_value = "text")]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct ConfigOptions {
    #[command(subcommand)]
    pub(crate) verb: ConfigVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigVerb {
    /// Look for mistakes in a configuration file: each with its line. It asks no running agent.
    Check(CheckOptions),
    /// Show the settings that `pinscope run` with the same flags would take, and where each is from.
    Show(Box<ShowOptions>),
}

#[derive(Debug, Args)]
pub(crate) struct CheckOptions {
    /// The file; if nothing is said, /etc/pinscope/pinscope.toml.
    #[arg(value_name = "FILE", env = "PINSCOPE_CONFIG")]
    pub(crate) file: Option<PathBuf>,

    /// Form of the report.
    #[arg(long, default_value = "text")]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct ShowOptions {
    /// Form of the report.
    #[arg(long, default_value = "text")]
    pub(crate) format: Format,

    #[command(flatten)]
    pub(crate) run: RunOptions,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorOptions {
    /// Form of the report.
    #[arg(long, default_value = "text")]
    pub(crate) format: Format,

    /// How the agent would be asked to attach.
    #[arg(long, default_value = "auto")]
    pub(crate) attach: Attach,

    /// The agent's configuration file; if nothing is said, /etc/pinscope/pinscope.toml, if that is
    /// there. What it says of the options here holds unless they are given.
    #[arg(long, value_name = "FILE", env = "PINSCOPE_CONFIG")]
    pub(crate) config: Option<PathBuf>,

    /// The agent's web configuration.
    #[arg(long, value_name = "FILE", env = "PINSCOPE_WEB_CONFIG")]
    pub(crate) web_config: Option<PathBuf>,

    /// The file that switches the agent off.
    #[arg(long, value_name = "FILE", env = "PINSCOPE_OFF_FILE", default_value = OFF_FILE)]
    pub(crate) off_file: PathBuf,

    /// Print only why the agent cannot run, if it cannot.
    #[arg(long)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DocumentsOptions {
    /// Which part.
    #[arg(default_value = "all")]
    pub(crate) part: Part,
}

/// A part of what the documents are made from.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Part {
    /// Every name that is a contract, as JSON.
    All,
    /// docs/metrics.md.
    Metrics,
    /// packaging/pinscope.toml.
    Config,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
