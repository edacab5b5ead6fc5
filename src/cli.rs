//! The command line: one file a command. A command gets what it needs as arguments and gives an exit code.

pub mod check;
pub mod crd;
pub mod explain;
pub mod plan;
mod prestop;
mod run;
pub mod schema;

use std::{
    ffi::OsString,
    io::{ErrorKind, Write},
    path::PathBuf,
};

use clap::{Parser, Subcommand};

use crate::http::socket::Place;

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

    /// The value of a variable that says nothing when it is empty.
    fn wiring(&self, name: &str) -> Option<&str> {
        self.variable(name).filter(|value| !value.is_empty())
    }

    /// Where podinit's control socket is.
    fn control_socket(&self) -> Place {
        match self.wiring(SOCKET_VARIABLE) {
            Some(path) => Place::Given(self.directory.join(path)),
            None => Place::Search {
                tmp: self.directory.join(self.wiring("TMPDIR").unwrap_or("/tmp")),
            },
        }
    }
}

/// Where the control socket is, for podinit and for its commands.
const SOCKET_VARIABLE: &str = "PODINIT_SOCKET";

/// The exit codes of the commands; the whole table is in the documentation.
pub mod exit {
    /// Done.
    pub const OK: u8 = 0;
    /// Wrong usage.
    pub const USAGE: u8 = 64;
    /// Invalid or missing spec.
    pub const SPEC: u8 = 65;
    /// What is needed is not there, such as a podinit that runs.
    pub const UNAVAILABLE: u8 = 69;
    /// Internal error.
    pub const INTERNAL: u8 = 70;
    /// Nobody reads the output any more: what a shell shows for the signal PIPE, which ends other programs then.
    pub const UNREAD: u8 = 141;
}

const AFTER_HELP: &str = "\
podinit -- COMMAND [ARGS...]  runs one command, without a file, as transparently as tini does

Exit codes: 0 done, or stopped on request with nothing left undone; 64 usage; 65 invalid or missing spec; 69 no
podinit answers (prestop); 70 internal error; 75 a process with ExitSet could never be started; 76 an init process or
a start hook failed; 124 the deadline forced a SIGKILL; 143 stopped on request with something left undone; else the
code of the process that ended the set.";

/// PID 1 for Kubernetes pods that run more than one process.
#[derive(Debug, Parser)]
#[command(
    name = "podinit",
    version,
    after_help = AFTER_HELP,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    run: run::Args,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a ProcessSet: what podinit does when no command is named
    Run(run::Args),
    /// Validate ProcessSet files and report everything that is wrong with them
    Check(check::Args),
    /// Begin the stop of the podinit that runs here, and return at once: for the pod's preStop hook
    Prestop(prestop::Args),
    /// Draw the order of the start, and the worst case of the stop against the grace period
    Plan(plan::Args),
    /// Say what a change of each field does to a set that runs
    ExplainChanges(explain::Args),
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
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if arguments.get(1).is_some_and(|first| first == "--") {
        return match &arguments[2..] {
            [] => {
                let _ = writeln!(
                    err,
                    "podinit: expected a command after --, as in: podinit -- php-fpm -F"
                );
                exit::USAGE
            }
            argv => run::command(argv.to_vec()),
        };
    }
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
        None => Ok(run::run(&cli.run, surroundings, err)),
        Some(Command::Run(args)) => Ok(run::run(args, surroundings, err)),
        Some(Command::Prestop(args)) => Ok(prestop::run(args, surroundings, err)),
        Some(Command::Check(args)) => check::run(args, surroundings, out),
        Some(Command::Plan(args)) => plan::run(args, surroundings, out, err),
        Some(Command::ExplainChanges(args)) => explain::run(args, out, err),
        Some(Command::Crd(args)) => crd::run(args, out),
        Some(Command::Schema(args)) => schema::run(args, out),
        Some(Command::Version) => {
            writeln!(out, "podinit {}", env!("CARGO_PKG_VERSION")).map(|()| exit::OK)
        }
    };
    done.and_then(|code| out.flush().map(|()| code))
        .unwrap_or_else(|error| {
            // `podinit schema | head -1`: who has read enough is no failure of ours.
            if error.kind() == ErrorKind::BrokenPipe {
                return exit::UNREAD;
            }
            let _ = writeln!(err, "podinit: failed to write the output: {error}");
            exit::INTERNAL
        })
}
