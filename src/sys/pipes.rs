//! The pipes of a run: for its output, and one by which the child says whether its exec succeeded.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::{Gid, Uid, fchown, pipe2};

use crate::domain::exit::{SpawnFailure, SpawnStep};
use crate::domain::plan::Identity;
use crate::ports::LogPipes;

use super::after_fork;

/// Room in a log pipe, where the kernel grants it: fewer wake-ups of the logs thread under load.
const PIPE_BYTES: libc::c_int = 256 * 1024;

/// Both ends of a run's log pipes, ours for its life. The read ends: should the logs thread start anew, no child gets a
/// PIPE signal. The write ends: else the pipes' end of file would wake the logs thread while the run is dying, and both
/// would stand between its death and the next run. With many runs descriptors count for more: then only the child has them.
#[derive(Debug)]
pub(super) struct LogEnds {
    pipes: LogPipes,
    writers: Option<Writers>,
}

/// Write ends, for the child.
#[derive(Debug)]
pub(super) struct Writers {
    pub(super) stdout: OwnedFd,
    /// `None`: the same.
    pub(super) stderr: Option<OwnedFd>,
}

impl Writers {
    /// Standard output and standard error.
    pub(super) fn raw(&self) -> [RawFd; 2] {
        let stderr = self.stderr.as_ref().unwrap_or(&self.stdout);
        [self.stdout.as_raw_fd(), stderr.as_raw_fd()]
    }
}

impl LogEnds {
    /// Makes both pipes. `roomy` asks for large ones: an unprivileged user gets only so many before the kernel makes all
    /// further ones tiny (fs.pipe-user-pages-soft), so only the first runs do.
    /// Then the write ends are kept, too; else they are given out.
    pub(super) fn make(
        owner: Option<&Identity>,
        roomy: bool,
    ) -> Result<(LogEnds, Option<Writers>), SpawnFailure> {
        let make = || {
            let (read, write) = output_pipe(owner)?;
            if roomy {
                let _ = fcntl(&write, FcntlArg::F_SETPIPE_SZ(PIPE_BYTES));
            }
            Ok((read, write))
        };
        let (stdout, stdout_writer) = make()?;
        let (stderr, stderr_writer) = make()?;
        let pipes = LogPipes {
            stdout: Arc::new(stdout),
            stderr: Arc::new(stderr),
        };
        let writers = Writers {
            stdout: stdout_writer,
            stderr: Some(stderr_writer),
        };
        let (kept, given) = if roomy {
            (Some(writers), None)
        } else {
            (None, Some(writers))
        };
        let ends = LogEnds {
            pipes,
            writers: kept,
        };
        Ok((ends, given))
    }

    /// For the logs thread.
    pub(super) fn pipes(&self) -> LogPipes {
        self.pipes.clone()
    }

    /// For the child, if they are kept.
    pub(super) fn writers(&self) -> Option<&Writers> {
        self.writers.as_ref()
    }
}

/// A pipe that the child writes to: read end, write end.
pub(super) fn output_pipe(owner: Option<&Identity>) -> Result<(OwnedFd, OwnedFd), SpawnFailure> {
    let (read, write) = pipe2(OFlag::O_CLOEXEC).map_err(pipe_failure)?;
    if let Some(identity) = owner {
        // Else the child could write to it, but not open it again as /dev/stderr. Refused without CAP_CHOWN, and then it
        // has to do without that.
        let (uid, gid) = (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid));
        let _ = fchown(&write, Some(uid), Some(gid));
    }
    Ok((read, write))
}

pub(super) fn pipe_failure(errno: impl Into<io::Error>) -> SpawnFailure {
    SpawnFailure {
        step: SpawnStep::Pipe,
        errno: errno.into().raw_os_error().unwrap_or(0),
    }
}

/// Our end of the pipe that a child answers on. It closes by itself on exec, so the end of file means success.
#[derive(Debug)]
pub(super) struct StatusPipe(OwnedFd);

/// What a child answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// Nothing yet.
    None,
    /// Its exec succeeded, or it was killed before: its end will tell.
    Executed,
    /// A step failed.
    Failed(SpawnFailure),
}

impl StatusPipe {
    /// Ours, and the child's.
    pub(super) fn make() -> Result<(StatusPipe, OwnedFd), SpawnFailure> {
        let (read, write) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).map_err(pipe_failure)?;
        Ok((StatusPipe(read), write))
    }

    pub(super) fn read(&self) -> Answer {
        let mut message = [0; after_fork::MESSAGE_BYTES];
        loop {
            return match nix::unistd::read(&self.0, &mut message) {
                Ok(0) => Answer::Executed,
                // Written at once, so never read in part.
                Ok(_) => Answer::Failed(after_fork::failure_of(message)),
                Err(nix::errno::Errno::EINTR) => continue,
                Err(_) => Answer::None,
            };
        }
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
