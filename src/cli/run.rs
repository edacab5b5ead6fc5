//! `podinit [run]` and `podinit -- CMD ARGS`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use crate::app::{self, Job};
use crate::config::Source;

/// Where the container runtime looks for the termination message (`terminationMessagePath`).
const TERMINATION_LOG: &str = "/dev/termination-log";

/// Flags of `podinit run`.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// The ProcessSet to run; `-` reads standard input [default: $PODINIT_CONFIG, else
    /// /etc/podinit/processset.yaml, else ./processset.yaml]
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// Where to write why podinit ended, if that file exists; the pod's terminationMessagePath
    #[arg(long, value_name = "FILE", default_value = TERMINATION_LOG)]
    termination_log: PathBuf,
}

impl RunArgs {
    /// Runs the set; gives the exit code.
    pub(super) fn run(self) -> u8 {
        app::run(Job::Set {
            source: Source::from_flag(self.file),
            termination_log: self.termination_log,
        })
    }
}

/// Runs one command; gives the exit code.
pub(super) fn command(argv: Vec<OsString>) -> u8 {
    app::run(Job::Command(argv))
}
