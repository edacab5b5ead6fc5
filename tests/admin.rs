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

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use support::{PODINIT, Podinit, SOON};

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

/// Waits until podinit says which port the system chose; gives the address.
fn port_of(podinit: &Podinit) -> String {
    let line = podinit.wait_for("the admin port", |line| {
        line.get("message").starts_with("the admin port is ")
    });
    line.get("address").to_owned()
}

/// The status and the body of an answer.
fn ask(address: &str, method: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer["HTTP/1.1 ".len()..][..3].parse().unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    (status, body.to_owned())
}

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
