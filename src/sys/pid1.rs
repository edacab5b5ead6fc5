//! Makes this process fit to be PID 1, or to stand in for it: the first thing that `podinit run` and `podinit --` do,
//! before any thread starts and anything is spawned.

#![allow(
    unsafe_code,
    reason = "settings of the C library, and descriptors that nobody owns yet"
)]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::Mode;

use crate::domain::plan::Rlimit;

use super::signals::{self, SignalMode};

/// Bytes from which on a piece of memory is the kernel's business: glibc's own first value.
const LARGE: libc::c_int = 128 << 10;

/// What was found when podinit was started, and what children get back of it.
#[derive(Debug)]
pub struct Start {
    /// Which signals are blocked now.
    pub mode: SignalMode,
    /// The directory podinit was started in: children start there, relative paths are relative to it.
    pub dir: OwnedFd,
    /// The same by name, for ourselves: our own working directory is `/` now.
    pub path: PathBuf,
    /// The limit of open files before we raised our own; children get it back.
    pub nofile: Rlimit,
    /// This is process 1 of its PID namespace. If not, it is a subreaper: orphans come to it all the same.
    pub is_pid1: bool,
}

/// A step that failed. podinit cannot own children then.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The signals could not be blocked.
    #[error("failed to block signals")]
    Signals(#[source] io::Error),
    /// Neither the start directory nor `/` could be opened.
    #[error("failed to open the directory podinit was started in")]
    Directory(#[source] io::Error),
    /// A standard stream that was closed could not be replaced.
    #[error("failed to open /dev/null in place of a closed standard stream")]
    DevNull(#[source] io::Error),
    /// The kernel refused to make us a subreaper.
    #[error("failed to become the reaper of orphans")]
    Subreaper(#[source] io::Error),
}

/// Takes hold of signals, descriptors, limits and the working directory.
pub fn init(mode: SignalMode) -> Result<Start, StartError> {
    one_heap();
    // Signals first: what comes before is lost for a PID 1, which has no default actions.
    mode.block().map_err(StartError::Signals)?;
    signals::reset_dispositions();

    fill_standard_streams().map_err(StartError::DevNull)?;
    close_on_exec_above_2();

    let path = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    let dir = open_dir(Path::new("."))
        .or_else(|_| open_dir(Path::new("/")))
        .map_err(StartError::Directory)?;
    // A working directory of our own would keep a volume from being unmounted.
    let _ = std::env::set_current_dir("/");

    let is_pid1 = std::process::id() == 1;
    if !is_pid1 {
        nix::sys::prctl::set_child_subreaper(true)
            .map_err(|errno| StartError::Subreaper(errno.into()))?;
    }

    Ok(Start {
        mode,
        dir,
        path,
        nofile: raise_nofile(),
        is_pid1,
    })
}

/// All threads share one heap, before there is a second thread: each further one costs every fork (and the exec after it)
/// page tables of its own. Small pieces do not come from it anyway, but from what each thread keeps for itself.
///
/// And what is large goes back to the kernel once it is freed: glibc would raise both thresholds (mallopt(3)) to the largest piece
/// that there ever was, and keep twice as much from then on.
fn one_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: numbers only.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        libc::mallopt(libc::M_TRIM_THRESHOLD, LARGE);
    }
}

fn open_dir(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    Ok(nix::fcntl::open(path, flags, Mode::empty())?)
}

/// A pipe of ours must not get the number of a standard stream that podinit was started without.
fn fill_standard_streams() -> io::Result<()> {
    loop {
        let null = File::options().read(true).write(true).open("/dev/null")?;
        if null.as_raw_fd() > 2 {
            return Ok(());
        }
        // The lowest free number is one of the three: it stays open, and children may inherit it.
        let fd = null.into_raw_fd();
        // SAFETY: the descriptor is open and nobody else knows it.
        let _ = unsafe { libc::fcntl(fd, libc::F_SETFD, 0) };
    }
}

/// What the one who started us left open stays open for us and goes to no child. The child does it again with
/// close_range(2); this is for kernels before 5.11, which lack it.
fn close_on_exec_above_2() {
    for fd in open_descriptors().into_iter().filter(|fd| *fd > 2) {
        // SAFETY: the number is only used to set a flag; it is open or the call fails.
        unsafe {
            let borrowed = std::os::fd::BorrowedFd::borrow_raw(fd);
            let _ = fcntl(borrowed, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC));
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the edge")]
fn open_descriptors() -> Vec<RawFd> {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// 1,000 processes have some 4,000 pipe ends here. Gives the limit as it was.
fn raise_nofile() -> Rlimit {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((1024, 1024));
    if soft < hard {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
    let limit = |value| (value != libc::RLIM_INFINITY).then_some(value);
    Rlimit {
        resource: libc::RLIMIT_NOFILE,
        soft: limit(soft),
        hard: limit(hard),
    }
}
