//! What is hard on a supervisor.

use std::io::Write as _;
use std::time::{Duration, Instant};

use super::{fork, set_handler, sleep};

/// How long a link of a storm's chain lives.
const LINK_MILLIS: u64 = 30;
/// How long a storm lasts at most.
const STORM: Duration = Duration::from_secs(15);

/// Every signal that can be caught is told of, and nothing else comes of it.
pub(super) fn trap_all() {
    extern "C" fn got(signal: i32) {
        let line = [
            b'g',
            b'o',
            b't',
            b' ',
            b'0' + (signal / 10) as u8,
            b'0' + (signal % 10) as u8,
            b'\n',
        ];
        // SAFETY: memory that lives through the call.
        unsafe { libc::write(1, line.as_ptr().cast(), line.len()) };
    }
    // 32 and 33 belong to the C library.
    for signal in (1..=64).filter(|n| ![libc::SIGKILL, libc::SIGSTOP, 32, 33].contains(n)) {
        set_handler(signal, got as extern "C" fn(i32) as libc::sighandler_t);
    }
}

/// Chains of processes: each lives for a moment, forks the next one and ends. So there are always `count` of them, and
/// never the same. Over after a while, should the test fail.
pub(super) fn storm(count: usize) {
    let until = Instant::now() + STORM;
    for _ in 0..count {
        fork(|| {
            while Instant::now() < until {
                sleep(LINK_MILLIS);
                // SAFETY: this process has one thread.
                match unsafe { libc::fork() } {
                    0 => {}
                    // The end of the chain, unless no process could be made.
                    pid if pid > 0 => return,
                    _ => {}
                }
            }
        });
    }
}

/// A line for each place it can be cut at. The pause makes two reads of it.
pub(super) fn pieces(text: &str) {
    let line = format!("{text}\n");
    let mut out = std::io::stdout().lock();
    for at in 0..=line.len() {
        for piece in [&line.as_bytes()[..at], &line.as_bytes()[at..]] {
            // Unbuffered: stdout's buffer keeps what follows the last newline.
            out.write_all(piece).expect("stdout takes it");
            out.flush().expect("stdout takes it");
            sleep(1);
        }
    }
}
