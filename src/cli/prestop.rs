//! `podinit prestop`: begins the stop, for the preStop hook of the container. The kubelet's clock runs from that hook on,
//! and so does podinit's then.

use std::io::{self, Read as _, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::{Surroundings, exit};
use crate::http::socket;

/// podinit answers within 5 s or says that it cannot.
const LIMIT: Duration = Duration::from_secs(6);

/// For a look whether it is still there.
const AGAIN: Duration = Duration::from_secs(1);

/// More is no answer of podinit.
const ANSWER: usize = 64 * 1024;

const REQUEST: &str =
    "POST /v1/prestop HTTP/1.1\r\nHost: podinit\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// The arguments of `podinit prestop`: none.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

/// Asks for the stop; [`exit::UNAVAILABLE`] when nobody takes it.
pub(super) fn run(_: &Args, surroundings: &Surroundings, err: &mut dyn Write) -> u8 {
    match ask(surroundings) {
        Ok(()) => exit::OK,
        Err(told) => {
            let _ = writeln!(err, "podinit: {told}");
            exit::UNAVAILABLE
        }
    }
}

fn ask(surroundings: &Surroundings) -> Result<(), String> {
    let uid = nix::unistd::geteuid().as_raw();
    let place = surroundings.control_socket();
    let stream = socket::reach(&place, uid, LIMIT).map_err(|error| error.to_string())?;
    let why = match exchange(stream, LIMIT) {
        Ok(answer) if !answer.is_empty() => return judge(&answer),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => "nothing in time".to_owned(),
        Err(error) => error.to_string(),
        Ok(_) => "nothing came".to_owned(),
    };
    // A podinit with nothing to stop may be gone before it has answered: that is what was asked for.
    match socket::reach(&place, uid, AGAIN) {
        Err(error) if !error.is_busy() => Ok(()),
        _ => Err(format!("podinit did not answer: {why}; see its log")),
    }
}

fn judge(answer: &str) -> Result<(), String> {
    match understood(answer) {
        Some((200, _)) => Ok(()),
        Some((status, body)) => Err(format!(
            "podinit did not take the request: {body} (status {status})"
        )),
        None => Err(
            "what answered does not speak HTTP: PODINIT_SOCKET is not podinit's socket".to_owned(),
        ),
    }
}

fn exchange(mut stream: UnixStream, limit: Duration) -> io::Result<String> {
    let until = now() + limit;
    stream.write_all(REQUEST.as_bytes())?;
    let mut answer = Vec::new();
    let mut part = [0; 4096];
    while answer.len() < ANSWER {
        // The limit is that of the whole answer, however many parts it comes in.
        let left = until.saturating_duration_since(now());
        if left.is_zero() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut part) {
            Ok(0) => break,
            Ok(length) => answer.extend_from_slice(&part[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[expect(clippy::disallowed_methods, reason = "the edge has a clock")]
fn now() -> Instant {
    Instant::now()
}

/// The status and the first line of the body.
fn understood(answer: &str) -> Option<(u16, &str)> {
    let status = answer.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    Some((status, body.lines().next().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_comes_byte_by_byte_is_not_waited_for_without_end() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let (turn, over) = std::sync::mpsc::channel::<()>();
        let server = std::thread::Builder::new().spawn(move || {
            let pause = Duration::from_millis(10);
            let next = || over.recv_timeout(pause);
            while next() == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                let _ = theirs.write_all(b"H");
            }
        });
        let error = exchange(ours, Duration::from_millis(100)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        drop(turn);
        server.unwrap().join().unwrap();
    }

    #[test]
    fn an_answer_is_its_status_and_its_first_line() {
        let answer = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 8\r\n\r\nleaving\n";
        assert_eq!(understood(answer), Some((503, "leaving")));
        assert_eq!(understood("HTTP/1.1 200 OK\r\n\r\n"), Some((200, "")));
        for answer in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 2", "220 smtp\r\n\r\n"] {
            assert_eq!(understood(answer), None, "{answer:?}");
        }
    }
}
