//! Notices that files may have changed, without polling: the spec's, and those it names.
//!
//! Directories are watched, not files: an editor renames a new file over the old one, and Kubernetes swaps the symlink
//! `..data` in a volume. So for each path that is every directory in which a link on the way to it stands, and the one that
//! holds the file at last. Of those in between only that they are moved or removed matters. What counts as a change is
//! for the caller to decide, by content: this only says when to look.

#![expect(
    clippy::disallowed_methods,
    reason = "the edge: looks at files, and waits for quiet"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::AsFd as _;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};

mod garbage;

/// So long nothing must happen before it is worth a look.
const QUIET: Duration = Duration::from_millis(500);
/// But no longer than this after the first event.
const PATIENCE: Duration = Duration::from_secs(5);
/// Links on the way to a file; the kernel follows as many.
const LINKS: u32 = 40;
/// So often the way to a file may be another one after it was watched than before.
const TRIES: u32 = 10;
/// So many reads of the queue are made in a row: who writes without end does not keep us from the clock.
const READS: u32 = 64;

/// Ends a [`Watch::wait`] from another thread.
#[derive(Debug, Clone)]
pub struct Waker(Arc<EventFd>);

impl Waker {
    /// A waker; it may be used before anybody waits.
    pub fn new() -> io::Result<Waker> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        Ok(Waker(Arc::new(EventFd::from_flags(flags)?)))
    }

    /// Ends the present or the next wait.
    pub fn wake(&self) {
        // Fails only when the counter is full, and then it wakes anyway.
        let _ = self.0.write(1);
    }
}

/// Why a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    /// Something happened to the files, and then nothing for a while.
    Files,
    /// The waker was used.
    Waker,
}

/// What is watched.
#[derive(Debug)]
pub struct Watch {
    waker: Waker,
    inotify: Option<Inotify>,
    /// By descriptor: what in that directory matters.
    names: BTreeMap<WatchDescriptor, Names>,
    /// When something that matters happened first, and last, if the wait for quiet was cut short; or the way to a file was
    /// never the same twice, and a look is due whether something is told or not.
    happened: Option<(Instant, Instant)>,
}

/// What in a directory matters, beside the directory itself.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Names {
    /// Everything.
    all: bool,
    /// These.
    some: BTreeSet<OsString>,
}

impl Names {
    fn has(&self, name: &OsStr) -> bool {
        self.all || self.some.contains(name)
    }

    fn is_empty(&self) -> bool {
        !self.all && self.some.is_empty()
    }

    fn add(&mut self, more: &Names) {
        self.all |= more.all;
        self.some.extend(more.some.iter().cloned());
    }
}

type Places = BTreeMap<PathBuf, Names>;

impl Watch {
    /// Nothing yet.
    pub fn new(waker: Waker) -> Watch {
        Watch {
            waker,
            inotify: None,
            names: BTreeMap::new(),
            happened: None,
        }
    }

    /// Watches these files and directories, and nothing else any more. Where a path leads nowhere, the last directory on
    /// the way is watched until something turns up.
    pub fn arm(&mut self, paths: &[PathBuf]) -> io::Result<()> {
        self.names.clear();
        self.inotify = None;
        // Whatever it was, it is read after this.
        self.happened = None;
        if paths.is_empty() {
            return Ok(());
        }
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        // What is swapped between the look at the way and the watching of it would not be told.
        let mut places = places_of(paths);
        let now = Instant::now();
        self.happened = Some((now, now));
        for _ in 0..TRIES {
            let whole = self.add(&inotify, &places)?;
            let now = places_of(paths);
            if whole && now == places {
                self.happened = None;
                break;
            }
            places = now;
        }
        self.inotify = Some(inotify);
        Ok(())
    }

    /// Watches nothing any more, at once.
    pub fn leave(&mut self) {
        if let Some(inotify) = self.inotify.take() {
            // Else it has taken its time.
            let _ = garbage::leave(inotify);
        }
    }

    /// False: some of it is gone meanwhile.
    fn add(&mut self, inotify: &Inotify, places: &Places) -> io::Result<bool> {
        let mut whole = true;
        for (directory, names) in places {
            let mut flags = AddWatchFlags::IN_DELETE_SELF
                | AddWatchFlags::IN_MOVE_SELF
                | AddWatchFlags::IN_ONLYDIR
                // The same directory by another mount keeps what it has.
                | AddWatchFlags::from_bits_retain(libc::IN_MASK_ADD);
            if !names.is_empty() {
                flags |= AddWatchFlags::IN_CREATE
                    | AddWatchFlags::IN_MOVED_TO
                    | AddWatchFlags::IN_MOVED_FROM
                    | AddWatchFlags::IN_DELETE
                    | AddWatchFlags::IN_MODIFY
                    | AddWatchFlags::IN_CLOSE_WRITE;
            }
            match inotify.add_watch(directory, flags) {
                Ok(descriptor) => self.names.entry(descriptor).or_default().add(names),
                Err(Errno::ENOENT | Errno::ENOTDIR) => whole = false,
                // Not ours to look into: the others tell.
                Err(Errno::EACCES) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(whole)
    }

    /// Waits, for ever if need be.
    pub fn wait(&mut self) -> Woken {
        let mut happened = self.happened.take();
        loop {
            let left = happened.map(|(first, last)| {
                let patience = PATIENCE.saturating_sub(first.elapsed());
                patience.min(QUIET.saturating_sub(last.elapsed()))
            });
            if left.is_some_and(|left| left.is_zero()) {
                return Woken::Files;
            }
            if self.poll(left) {
                self.happened = happened;
                return Woken::Waker;
            }
            // What does not matter is neither an event nor quiet.
            if self.take_events() {
                let now = Instant::now();
                happened = Some(happened.map_or((now, now), |(first, _)| (first, now)));
            }
        }
    }

    /// True when the waker was used.
    fn poll(&self, timeout: Option<Duration>) -> bool {
        let waker = PollFd::new(self.waker.0.as_fd(), PollFlags::POLLIN);
        let mut fds = vec![waker];
        if let Some(inotify) = &self.inotify {
            fds.push(PollFd::new(inotify.as_fd(), PollFlags::POLLIN));
        }
        let timeout = match timeout {
            // Rounded up: not to wake up too early and spin.
            Some(left) => PollTimeout::try_from(left.as_millis() + u128::from(!left.is_zero()))
                .unwrap_or(PollTimeout::MAX),
            None => PollTimeout::NONE,
        };
        // EINTR only: then it is looked at again.
        let _ = poll(&mut fds, timeout);
        let used = fds[0].revents().is_some_and(|events| !events.is_empty());
        used && self.waker.0.read().is_ok()
    }

    /// True when something happened to what matters.
    fn take_events(&self) -> bool {
        let Some(inotify) = &self.inotify else {
            return false;
        };
        let mut told = false;
        for _ in 0..READS {
            let Ok(events) = inotify.read_events() else {
                break;
            };
            told |= events.iter().any(|event| {
                let names = self.names.get(&event.wd);
                match (&event.name, names) {
                    (Some(name), Some(names)) => names.has(name),
                    // About a directory itself, or the queue ran over: look at everything.
                    _ => !event.mask.contains(AddWatchFlags::IN_IGNORED),
                }
            });
        }
        told
    }
}

/// The directories where a change of what is at these paths shows, and under which names.
fn places_of(paths: &[PathBuf]) -> Places {
    let mut places = Places::new();
    for path in paths {
        walk(path, &mut places);
    }
    places
}

fn walk(path: &Path, places: &mut Places) {
    let mut at = PathBuf::from("/");
    let mut rest: Vec<OsString> = parts(path);
    let mut links = 0;
    while let Some(name) = rest.pop() {
        if name == OsStr::new("..") {
            at.pop();
            continue;
        }
        let here = at.join(&name);
        match here.symlink_metadata() {
            Ok(found) if found.is_symlink() && links < LINKS => {
                links += 1;
                places.entry(at.clone()).or_default().some.insert(name);
                let Ok(target) = std::fs::read_link(&here) else {
                    return;
                };
                if target.is_absolute() {
                    at = PathBuf::from("/");
                }
                rest.extend(parts(&target));
            }
            Ok(found) if found.is_dir() => {
                at = here;
                // The content of a directory that is asked for matters; of one on the way, only where it is.
                places.entry(at.clone()).or_default().all |= rest.is_empty();
            }
            _ => {
                // The file itself, or what is not there yet.
                places.entry(at).or_default().some.insert(name);
                return;
            }
        }
    }
}

/// The steps of a path, the last one first.
fn parts(path: &Path) -> Vec<OsString> {
    let parts = path.components().rev().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    parts.collect()
}

#[cfg(test)]
#[path = "watch/tests.rs"]
mod tests;
