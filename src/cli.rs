//! The command line: one file a command.

use std::ffi::OsString;

use clap::{Parser, Subcommand};

mod run;

/// A mistake in how podinit was called (sysexits.h).
const USAGE: u8 = 64;

const AFTER_HELP: &str = "\
podinit -- COMMAND [ARGS...]  runs one command, without a file, as transparently as tini does

Exit codes: 0 done, or stopped on request with nothing left undone; 64 usage; 65 invalid or missing spec; 70 internal
error; 75 a process with ExitSet could never be started; 76 an init process or a start hook failed; 124 the deadline
forced a SIGKILL; 143 stopped on request with something left undone; else the code of the process that ended the set.";

/// PID 1 for Kubernetes pods that run more than one process.
#[derive(Debug, Parser)]
#[command(name = "podinit", version, about, after_help = AFTER_HELP, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    run: run::RunArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a ProcessSet (the default command)
    Run(run::RunArgs),
    /// Print the version
    Version,
}

/// Reads the arguments (the program's own name first) and does what they say; gives the exit code.
pub fn main(arguments: Vec<OsString>) -> u8 {
    if arguments.get(1).is_some_and(|first| first == "--") {
        let argv = arguments[2..].to_vec();
        if argv.is_empty() {
            return usage("podinit: expected a command after --, as in: podinit -- php-fpm -F\n");
        }
        return run::command(argv);
    }
    match Cli::try_parse_from(arguments) {
        Ok(Cli {
            command: None, run, ..
        }) => run.run(),
        Ok(Cli {
            command: Some(command),
            ..
        }) => command.run(),
        Err(error) if !error.use_stderr() => {
            print(&error.to_string());
            0
        }
        Err(error) => usage(&error.to_string()),
    }
}

impl Command {
    fn run(self) -> u8 {
        match self {
            Command::Run(args) => args.run(),
            Command::Version => {
                print(concat!("podinit ", env!("CARGO_PKG_VERSION"), "\n"));
                0
            }
        }
    }
}

/// Nobody may be reading: that is no reason to fail.
fn print(text: &str) {
    use std::io::Write as _;
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn usage(text: &str) -> u8 {
    use std::io::Write as _;
    let _ = std::io::stderr().write_all(text.as_bytes());
    USAGE
}
