//! Our standard output, written with blocking writes.
//!
//! | what write says | what happens |
//! |---|---|
//! | nothing, it blocks | the backlog grows, see [`super::store`] |
//! | `EAGAIN` (somebody else made it non-blocking) | waits until it is writable |
//! | `EPIPE`, `EBADF`, another that cannot pass | nobody will ever read: everything is discarded and counted |
//! | `ENOSPC`, `EIO`, another that may pass | tried again for 2 s; then, while it lasts, discarded and counted, with a try every 200 ms |
//!
//! So a process waits for a reader that is slow (`Block`), but not for a disk that is full or a reader that is gone.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::out::lines;

/// For how long the same bytes are tried again.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two tries of the same bytes.
const RETRY: Duration = Duration::from_millis(50);
/// Between two tries while everything is discarded.
const PROBE: Duration = Duration::from_millis(200);

/// Whoever waits for the writer.
pub(super) trait Pause {
    /// Waits. Says whether it makes sense to go on.
    fn pause(&self, time: Duration) -> bool;

    /// So many bytes of the buffer are written.
    fn written(&self, bytes: usize);
}

/// Where lines go.
#[derive(Debug)]
pub(super) struct Sink {
    /// `None`: gone for good.
    out: Option<OwnedFd>,
    failing: Option<Failing>,
    /// The last thing written was not the end of a line.
    torn: bool,
    patience: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Failing {
    since: Instant,
    tried: Instant,
}

impl Sink {
    /// A sink; `None`: everything is discarded.
    pub(super) fn new(out: Option<OwnedFd>) -> Self {
        Sink {
            out,
            failing: None,
            torn: false,
            patience: PATIENCE,
        }
    }

    /// Writes whole lines. Gives the number of lines lost.
    pub(super) fn write(&mut self, buffer: &[u8], progress: &impl Pause) -> u64 {
        if let Some(failing) = self.failing
            && failing.since.elapsed() >= self.patience
            && failing.tried.elapsed() < PROBE
        {
            return lines(buffer);
        }
        let mut at = 0;
        while at < buffer.len() {
            let Some(out) = &self.out else {
                break;
            };
            // What follows half a line that was given up does not continue it.
            let part: &[u8] = if self.torn && at == 0 {
                b"\n"
            } else {
                &buffer[at..]
            };
            match nix::unistd::write(out, part) {
                Ok(written) if written > 0 => {
                    self.failing = None;
                    if self.torn && at == 0 {
                        self.torn = false;
                    } else {
                        at += written;
                        progress.written(at);
                    }
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => wait_writable(out),
                Err(
                    Errno::ENOSPC | Errno::EDQUOT | Errno::EIO | Errno::ENOMEM | Errno::ENOBUFS,
                )
                | Ok(_) => {
                    if !self.try_again(progress) {
                        break;
                    }
                }
                Err(_) => self.out = None,
            }
        }
        self.torn |= at > 0 && buffer[at - 1] != b'\n';
        lines(&buffer[at..])
    }

    /// A write failed in a way that may pass. Says whether to try the same again, after a while.
    fn try_again(&mut self, progress: &impl Pause) -> bool {
        let now = Instant::now();
        let since = self.failing.map_or(now, |failing| failing.since);
        self.failing = Some(Failing { since, tried: now });
        now.duration_since(since) < self.patience && progress.pause(RETRY)
    }
}

fn wait_writable(out: &OwnedFd) {
    let mut fds = [PollFd::new(out.as_fd(), PollFlags::POLLOUT)];
    // An error here shows at the next write.
    let _ = poll(&mut fds, PollTimeout::NONE);
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs::{File, OpenOptions};
    use std::io::Read;

    use nix::fcntl::{FcntlArg, OFlag, fcntl};

    use super::*;

    /// Pauses by letting time be.
    #[derive(Default)]
    struct Progress {
        pauses: Cell<u32>,
        written: Cell<usize>,
        stop: bool,
    }

    impl Pause for Progress {
        fn pause(&self, _: Duration) -> bool {
            self.pauses.set(self.pauses.get() + 1);
            !self.stop
        }

        fn written(&self, bytes: usize) {
            self.written.set(bytes);
        }
    }

    #[test]
    fn lines_are_written() {
        let (read, write) = nix::unistd::pipe().unwrap();
        let mut sink = Sink::new(Some(write));
        let progress = Progress::default();
        assert_eq!(sink.write(b"a\nb\n", &progress), 0);
        assert_eq!(progress.written.get(), 4);
        drop(sink);
        let mut text = String::new();
        File::from(read).read_to_string(&mut text).unwrap();
        assert_eq!(text, "a\nb\n");
    }

    #[test]
    fn a_closed_reader_is_for_good() {
        let (read, write) = nix::unistd::pipe().unwrap();
        drop(read);
        let mut sink = Sink::new(Some(write));
        assert_eq!(sink.write(b"a\nb\n", &Progress::default()), 2);
        assert!(sink.out.is_none());
        assert_eq!(sink.write(b"c\n", &Progress::default()), 1);
    }

    #[test]
    fn a_full_disk_is_tried_again_and_then_discards() {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut sink = Sink::new(Some(full.into()));
        sink.patience = Duration::from_millis(5);
        let progress = Progress::default();
        assert_eq!(sink.write(b"a\n", &progress), 1);
        assert!(progress.pauses.get() > 1);
        let pauses = progress.pauses.get();
        assert_eq!(sink.write(b"b\nc\n", &progress), 2);
        assert_eq!(progress.pauses.get(), pauses, "not tried at all");

        let (read, write) = nix::unistd::pipe().unwrap();
        sink.out = Some(write);
        sink.torn = true;
        if let Some(failing) = &mut sink.failing {
            failing.tried -= PROBE;
        }
        assert_eq!(sink.write(b"d\n", &progress), 0);
        assert!(sink.failing.is_none());
        drop(sink);
        let mut text = String::new();
        File::from(read).read_to_string(&mut text).unwrap();
        assert_eq!(text, "\nd\n", "a torn line is ended first");
    }

    #[test]
    fn giving_up_ends_the_tries() {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut sink = Sink::new(Some(full.into()));
        let progress = Progress {
            stop: true,
            ..Progress::default()
        };
        assert_eq!(sink.write(b"a\n", &progress), 1);
        assert_eq!(progress.pauses.get(), 1);
    }

    #[test]
    fn a_non_blocking_output_is_waited_for() {
        let (read, write) = nix::unistd::pipe().unwrap();
        fcntl(&write, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        let text = "line\n".repeat(100_000);
        let reader = std::thread::Builder::new()
            .spawn(move || {
                let mut text = String::new();
                File::from(read).read_to_string(&mut text).unwrap();
                text
            })
            .unwrap();
        let mut sink = Sink::new(Some(write));
        assert_eq!(sink.write(text.as_bytes(), &Progress::default()), 0);
        drop(sink);
        assert_eq!(reader.join().unwrap(), text);
    }
}
