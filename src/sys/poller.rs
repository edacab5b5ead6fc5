//! Everything the table waits for behind one descriptor: an epoll set of our own, inside the runtime's. So thousands of
//! spawns cost the runtime nothing, and a wait that is dropped loses nothing.

#![allow(
    unsafe_code,
    reason = "the runtime wants a promise about the descriptor"
)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::domain::id::RunId;

/// What became readable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ready {
    /// Signals are pending.
    Signals,
    /// A run's status pipe: its exec succeeded or failed.
    Status(RunId),
    /// The process that shows that a run's session is not empty has died.
    Witness(RunId),
    /// A run whose output is kept has written something, or nobody can any more.
    Kept(RunId),
    /// Somebody sent a message to the notify socket.
    Notify,
}

impl Ready {
    fn token(self) -> u64 {
        match self {
            Ready::Signals => 0,
            Ready::Status(run) => run.0 << 3 | 1,
            Ready::Witness(run) => run.0 << 3 | 2,
            Ready::Kept(run) => run.0 << 3 | 3,
            Ready::Notify => 4,
        }
    }

    fn of_token(token: u64) -> Ready {
        let run = RunId(token >> 3);
        match token & 7 {
            0 => Ready::Signals,
            1 => Ready::Status(run),
            2 => Ready::Witness(run),
            3 => Ready::Kept(run),
            _ => Ready::Notify,
        }
    }
}

/// So much is reported at once.
pub(super) const BATCH: usize = 128;

#[derive(Debug)]
pub(super) struct Poller(AsyncFd<Inner>);

#[derive(Debug)]
struct Inner(Epoll);

impl AsRawFd for Inner {
    fn as_raw_fd(&self) -> RawFd {
        self.0.0.as_raw_fd()
    }
}

impl Poller {
    /// Inside a runtime with I/O.
    pub(super) fn open() -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        // SAFETY: `Inner` owns its one descriptor and never changes it; nobody else has it.
        let watched = unsafe { AsyncFd::register_with_interest(Inner(epoll), Interest::READABLE) };
        Ok(Poller(watched?))
    }

    pub(super) fn add(&self, fd: BorrowedFd<'_>, what: Ready) -> io::Result<()> {
        let event = EpollEvent::new(EpollFlags::EPOLLIN, what.token());
        Ok(self.0.get_ref().0.add(fd, event)?)
    }

    /// Closing a descriptor is not enough: a child between fork and exec has it too.
    pub(super) fn remove(&self, fd: impl AsFd) {
        let _ = self.0.get_ref().0.delete(fd);
    }

    /// What is readable now, without waiting, up to [`BATCH`]. Whatever is not dealt with is there again the next time.
    pub(super) fn ready(&self) -> Vec<Ready> {
        let mut events = [EpollEvent::empty(); BATCH];
        let wait = self.0.get_ref().0.wait(&mut events, EpollTimeout::ZERO);
        let count = wait.unwrap_or(0);
        events[..count]
            .iter()
            .map(|event| Ready::of_token(event.data()))
            .collect()
    }

    /// Waits until something may be readable. Only after [`Poller::ready`] gave less than [`BATCH`], and that was dealt
    /// with: the runtime reports changes, not states.
    pub(super) async fn changed(&self) {
        match self.0.readable().await {
            Ok(mut guard) => guard.clear_ready(),
            // Only when the runtime is shut down, and then nobody polls this any more.
            Err(_) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_read_back() {
        for ready in [
            Ready::Signals,
            Ready::Status(RunId(0)),
            Ready::Witness(RunId(0)),
            Ready::Kept(RunId(0)),
            Ready::Notify,
            Ready::Status(RunId(7)),
            Ready::Kept(RunId(8)),
            Ready::Witness(RunId(u64::MAX >> 3)),
        ] {
            assert_eq!(Ready::of_token(ready.token()), ready);
        }
    }
}
