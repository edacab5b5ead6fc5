//! Files of the state directory: `draining`, `deadline/NAME-INDEX`, for whatever runs in the pod to look at.
//!
//! They are written on a thread of their own (`state`), which the first of them starts: a file system that hangs stops
//! nothing else. In Kubernetes the directory is often a volume that anybody in the pod may write to, so no link in it is
//! followed.

use std::fmt;
use std::fs::{DirBuilder, File, Permissions};
use std::io::{self, ErrorKind, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};
use tokio::sync::mpsc;

use crate::ports::{Level, Record, StateFiles};

/// Files that wait to be written: more than a set has instances. Room is taken as it is needed.
const QUEUE: usize = 1 << 17;

/// How long what waits may take when podinit leaves.
const MOMENT: Duration = Duration::from_millis(500);

/// Small: it writes files.
const STACK: usize = 128 * 1024;

/// Stands for a stop that has begun.
const DRAINING: &str = "draining";
/// Has a file for each instance.
const DEADLINE: &str = "deadline";

/// Takes the one record about files that cannot be written.
pub type Note = Box<dyn Fn(Record) + Send>;

type Written = (String, String);

/// Writes them.
pub struct State {
    /// What the thread starts with; taken by its start.
    ready: Option<(PathBuf, Note)>,
    queue: Option<Queue>,
}

struct Queue {
    files: mpsc::Sender<Written>,
    /// So many are not written yet.
    waiting: Arc<AtomicUsize>,
    /// Closed by the end of the thread.
    done: Receiver<()>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("directory", &self.ready.as_ref().map(|(path, _)| path))
            .finish_non_exhaustive()
    }
}

impl State {
    /// Files below this directory, which is made when it is missing. `note` is told once if that does not work.
    pub fn new(directory: PathBuf, note: Note) -> State {
        State {
            ready: Some((directory, note)),
            queue: None,
        }
    }

    /// No files at all.
    pub fn none() -> State {
        State {
            ready: None,
            queue: None,
        }
    }

    /// Removes what an earlier container of this pod left there: `draining` and the files of `deadline`, nothing else.
    pub fn clear(directory: &Path) -> io::Result<()> {
        let Some(top) = found(open_top(directory))? else {
            return Ok(());
        };
        remove(&top, Path::new(DRAINING))?;
        let Some(deadline) = found(open_below(&top, DEADLINE))? else {
            return Ok(());
        };
        let mut entries = Dir::from_fd(deadline.try_clone()?)?;
        let names: Vec<_> = entries
            .iter()
            .filter_map(|entry| Some(entry.ok()?.file_name().to_owned()))
            .filter(|name| !matches!(name.to_bytes(), b"." | b".."))
            .collect();
        for name in names {
            remove(&deadline, name.as_c_str())?;
        }
        Ok(())
    }

    fn start(directory: PathBuf, note: Note) -> io::Result<Queue> {
        let (files, queue) = mpsc::channel(QUEUE);
        let (end, done) = channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let left = Arc::clone(&waiting);
        std::thread::Builder::new()
            .name("state".to_owned())
            .stack_size(STACK)
            .spawn(move || {
                write_all(&directory, queue, (&left, &note));
                drop(end);
            })?;
        Ok(Queue {
            files,
            waiting,
            done,
        })
    }
}

impl StateFiles for State {
    fn write(&mut self, name: String, content: String) {
        if let Some((directory, note)) = self.ready.take() {
            // Without a thread there are no files, as without a directory.
            self.queue = State::start(directory, note).ok();
        }
        if let Some(queue) = &self.queue {
            queue.waiting.fetch_add(1, Ordering::Relaxed);
            if queue.files.try_send((name, content)).is_err() {
                // Full: the file system hangs, and has for longer than it takes to name every instance.
                queue.waiting.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }
}

impl Drop for State {
    fn drop(&mut self) {
        if let Some(Queue {
            files,
            waiting,
            done,
        }) = self.queue.take()
        {
            drop(files);
            // The usual: no need to see the thread end.
            if waiting.load(Ordering::Acquire) == 0 {
                return;
            }
            // Nothing is ever sent: it ends, or it is too slow.
            let ended = done.recv_timeout(MOMENT);
            debug_assert!(matches!(
                ended,
                Err(RecvTimeoutError::Disconnected | RecvTimeoutError::Timeout)
            ));
        }
    }
}

/// The thread: writes what comes until nobody sends any more.
fn write_all(
    directory: &Path,
    mut queue: mpsc::Receiver<Written>,
    (left, note): (&AtomicUsize, &Note),
) {
    let mut told = false;
    while let Some((name, content)) = queue.blocking_recv() {
        if let Err(error) = write(directory, Path::new(&name), &content)
            && !told
        {
            told = true;
            note(Record {
                level: Level::Info,
                label: None,
                message: format!(
                    "state files such as `{}` are not written: {error}",
                    directory.join(name).display()
                ),
                fields: Vec::new(),
                lines: Vec::new(),
            });
        }
        left.fetch_sub(1, Ordering::Release);
    }
}

/// Writes a file at once as a whole, with the directories between it and the top.
fn write(directory: &Path, name: &Path, content: &str) -> io::Result<()> {
    let mut below = make_top(directory)?;
    for part in name.parent().into_iter().flat_map(Path::iter) {
        below = match open_below(&below, Path::new(part)) {
            Err(Errno::ENOENT) => make_below(&below, Path::new(part))?,
            opened => opened?,
        };
    }
    let Some(file) = name.file_name() else {
        return Err(io::Error::from(ErrorKind::InvalidInput));
    };
    let mut fresh = std::ffi::OsString::from(".");
    fresh.push(file);
    fresh.push(".new");
    // Of somebody who was killed while at it.
    remove(&below, Path::new(&fresh))?;
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
    let written = openat(
        &below,
        Path::new(&fresh),
        flags,
        Mode::from_bits_truncate(0o644),
    )?;
    let mut written = File::from(written);
    // Whatever the umask: processes of other users read it.
    written.set_permissions(Permissions::from_mode(0o644))?;
    written.write_all(content.as_bytes())?;
    renameat(&below, Path::new(&fresh), &below, Path::new(file))?;
    Ok(())
}

/// The directory itself may be reached by a link: whoever configured it may have wanted that.
fn open_top(directory: &Path) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    nix::fcntl::open(directory, flags, Mode::empty())
}

fn make_top(directory: &Path) -> io::Result<OwnedFd> {
    match open_top(directory) {
        Err(Errno::ENOENT) => {
            let mut builder = DirBuilder::new();
            builder.recursive(true).mode(0o755).create(directory)?;
            let made = open_top(directory)?;
            open_for_all(&made)?;
            Ok(made)
        }
        opened => Ok(opened?),
    }
}

fn open_below<P: ?Sized + nix::NixPath>(top: &OwnedFd, name: &P) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    openat(top, name, flags, Mode::empty())
}

fn make_below(top: &OwnedFd, name: &Path) -> io::Result<OwnedFd> {
    mkdirat(top, name, Mode::from_bits_truncate(0o755))?;
    let made = open_below(top, name)?;
    open_for_all(&made)?;
    Ok(made)
}

/// Whatever the umask.
fn open_for_all(directory: &impl AsFd) -> io::Result<()> {
    let mode = Mode::from_bits_truncate(0o755);
    Ok(nix::sys::stat::fchmod(directory, mode)?)
}

/// Removes a file or a link, never a directory. On a read-only file system there is nothing of ours, and the kernel says
/// so before it looks.
fn remove<P: ?Sized + nix::NixPath>(directory: &OwnedFd, name: &P) -> nix::Result<()> {
    match unlinkat(directory, name, UnlinkatFlags::NoRemoveDir) {
        Err(Errno::ENOENT | Errno::EISDIR | Errno::EROFS) => Ok(()),
        removed => removed,
    }
}

/// What is not there, or is no directory, has nothing in it.
fn found(opened: nix::Result<OwnedFd>) -> nix::Result<Option<OwnedFd>> {
    match opened {
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => Ok(None),
        opened => opened.map(Some),
    }
}

#[cfg(test)]
mod tests;
