//! The command line: one file a command. A command gets what it needs as arguments and gives an exit code.

pub mod check;
pub mod crd;
pub mod schema;

use std::{ffi::OsString, io::Write, path::PathBuf};

use clap::{Parser, Subcommand};

/// What the program was given: its surroundings, read once.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The environment. What is no UTF-8 is replaced.
    pub environment: Vec<(String, String)>,
    /// The directory the program was started in.
    pub directory: PathBuf,
}

impl Surroundings {
    /// The value of a variable.
    pub fn variable(&self, name: &str) -> Option<&str> {
        let found = self.environment.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// The exit codes of the commands; the whole table is in the documentation.
pub mod exit {
    /// Done.
    pub const OK: u8 = 0;
    /// Wrong usage.
    pub const USAGE: u8 = 64;
    /// Invalid or missing spec.
    pub const SPEC: u8 = 65;
    /// Internal error.
    pub const INTERNAL: u8 = 70;
}

/// PID 1 for Kubernetes pods that run more than one process.
#[derive(Debug, Parser)]
#[command(name = "podinit", version, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Validate ProcessSet files and report everything that is wrong with them
    Check(check::Args),
    /// Print the CustomResourceDefinitions
    Crd(crd::Args),
    /// Print the JSON schema of a ProcessSet, for editors
    Schema(schema::Args),
    /// Print the version
    Version,
}

/// Runs the command that the arguments name; the first is the program's own name.
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    surroundings: &Surroundings,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> u8 {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let to: &mut dyn Write = if error.use_stderr() { err } else { out };
            let code = if error.use_stderr() {
                exit::USAGE
            } else {
                exit::OK
            };
            // Nobody is left to be told that telling failed.
            let _ = write!(to, "{}", error.render());
            return code;
        }
    };
    let done = match &cli.command {
        Command::Check(args) => check::run(args, surroundings, out),
        Command::Crd(args) => crd::run(args, out),
        Command::Schema(args) => schema::run(args, out),
        Command::Version => {
            writeln!(out, "podinit {}", env!("CARGO_PKG_VERSION")).map(|()| exit::OK)
        }
    };
    done.and_then(|code| out.flush().map(|()| code))
        .unwrap_or_else(|error| {
            let _ = writeln!(err, "podinit: failed to write the output: {error}");
            exit::INTERNAL
        })
}
