//! The program: hands its arguments to [`podinit::cli`] and leaves with the code it gives.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(podinit::cli::main(std::env::args_os().collect()))
}
