//! The admin port, the readiness file, the control socket with `podinit prestop`, and the state directory, on the real
//! binary.

#![allow(
    missing_docs,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test"
)]

mod support;

#[path = "admin/port.rs"]
mod port;
#[path = "admin/socket.rs"]
mod socket;
#[path = "admin/state.rs"]
mod state;

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use support::PODINIT;
use support::http::{ask, port_of};

/// Something that runs until it is stopped.
const WEB: &str = "  processes: [{name: web, command: [sleep, infinity]}]";

/// A user that nobody is, without any rights.
const NOBODY: [&str; 9] = [
    "setpriv",
    "--reuid",
    "54329",
    "--regid",
    "54329",
    "--clear-groups",
    "--bounding-set=-all",
    "--inh-caps=-all",
    "--no-new-privs",
];

/// `podinit prestop` in the surroundings of that podinit, behind these words.
fn prestop(under: &[&str], environment: &[(&str, &str)]) -> (Output, Duration) {
    let words = [under, &[PODINIT, "prestop"]].concat();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).env_remove("PODINIT_SOCKET");
    command.envs(environment.iter().copied());
    let began = Instant::now();
    let output = command.output().unwrap();
    (output, began.elapsed())
}

/// What it wrote to its standard error: one line, without its newline.
fn one_line(output: &str) -> &str {
    let line = output.strip_suffix('\n').unwrap_or(output);
    assert!(!line.is_empty() && !line.contains('\n'), "{output:?}");
    line
}
