//! The program: hands its arguments to [`podinit::cli`] and leaves with the code it gives.
#![expect(
    clippy::disallowed_methods,
    reason = "the edge: reads the environment, once"
)]

use std::{env, io, process::ExitCode};

use podinit::cli::{self, Surroundings};

fn main() -> ExitCode {
    let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    let surroundings = Surroundings {
        environment: env::vars_os()
            .map(|(name, value)| (text(name), text(value)))
            .collect(),
        directory: env::current_dir().unwrap_or_else(|_| "/".into()),
    };
    let out = &mut io::BufWriter::new(io::stdout().lock());
    cli::run(env::args_os(), &surroundings, out, &mut io::stderr().lock()).into()
}
