//! `podinit [run]` and `podinit -- COMMAND ARGS`.

use std::ffi::OsString;
use std::path::PathBuf;

use super::Surroundings;
use crate::app::{self, Job};
use crate::config::{CONFIG_VARIABLE, Source};

/// Where the container runtime looks for the termination message (`terminationMessagePath`).
const TERMINATION_LOG: &str = "/dev/termination-log";

/// Flags of `podinit run`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The ProcessSet to run; `-` reads standard input [default: $PODINIT_CONFIG, else
    /// /etc/podinit/processset.yaml, else ./processset.yaml]
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// Where to write why podinit ended, if that file exists; the pod's terminationMessagePath
    #[arg(long, value_name = "FILE", default_value = TERMINATION_LOG)]
    termination_log: PathBuf,
}

/// Runs the set; gives the exit code.
pub(super) fn run(args: &Args, surroundings: &Surroundings) -> u8 {
    let variable = surroundings.variable(CONFIG_VARIABLE);
    app::run(Job::Set {
        source: Source::new(args.file.as_deref(), variable),
        termination_log: surroundings.directory.join(&args.termination_log),
    })
}

/// Runs one command; gives the exit code.
pub(super) fn command(argv: Vec<OsString>) -> u8 {
    app::run(Job::Command(argv))
}
