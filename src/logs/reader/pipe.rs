//! The pipes the logs thread reads.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::epoll::{EpollEvent, EpollFlags};

use super::Reader;
use crate::domain::id::{Label, RunId};
use crate::domain::plan::LogRule;
use crate::domain::time::Wall;
use crate::logs::frame::Framer;
use crate::logs::store::SourceId;
use crate::ports::{Level, LogPipes, Record, Value};

/// Read at once, in bytes: what a pipe holds by default.
pub(super) const READ: usize = 64 * 1024;
/// Unfinished lines of all pipes, in bytes; beyond it long ones are cut early.
const HELD: usize = 2 * 1024 * 1024;
/// Pipes of ended runs that may wait until there is room for what they hold, beside one for each source: so all may end
/// at once, but not run after run without end while output is blocked.
const PARKED: usize = 64;

/// One stream of a run.
#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) fd: Arc<OwnedFd>,
    label: Arc<Label>,
    source: SourceId,
    pub(super) framer: Framer,
    /// The longest line, in bytes.
    max: usize,
    /// The run has ended: what is left to be read, in bytes at most.
    closing: Option<usize>,
    /// Not watched: there was no room for what it holds.
    paused: bool,
}

/// What a read came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Got {
    Bytes,
    Nothing,
    NoRoom,
}

/// What the pipes of a run are called here.
pub(super) fn ids(run: RunId) -> [u64; 2] {
    [run.0 << 1, run.0 << 1 | 1]
}

impl Reader {
    /// Takes over a new run's pipes.
    pub(super) fn open(&mut self, run: RunId, label: &Arc<Label>, rule: &LogRule, pipes: LogPipes) {
        let sources = self.store.open(label, rule);
        let fds = [pipes.stdout, pipes.stderr];
        for ((id, source), fd) in ids(run).into_iter().zip(sources).zip(fds) {
            let event = EpollEvent::new(EpollFlags::EPOLLIN, id);
            let watched = fcntl(&fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))
                .and_then(|_| self.epoll.add(&fd, event));
            if let Err(error) = watched {
                self.store.close(source);
                let record = Record {
                    level: Level::Error,
                    label: Some(Arc::clone(label)),
                    message: "output cannot be read".to_owned(),
                    fields: vec![("error", Value::Text(error.to_string()))],
                    lines: Vec::new(),
                };
                self.store.record(&record, (self.clock)());
                continue;
            }
            let pipe = Pipe {
                fd,
                label: Arc::clone(label),
                source,
                framer: Framer::default(),
                max: rule.max_line_bytes,
                closing: None,
                paused: false,
            };
            self.pipes.insert(id, pipe);
        }
    }

    /// What the pipes bring is logged by another rule from now on.
    pub(super) fn relog(&mut self, run: RunId, label: &Arc<Label>, rule: &LogRule) {
        self.store.relog(label, rule);
        for id in ids(run) {
            if let Some(pipe) = self.pipes.get_mut(&id) {
                pipe.max = rule.max_line_bytes;
            }
        }
    }

    /// The run has ended: reads what the pipe holds now. If there is no room for it, the pipe is parked.
    pub(super) fn close(&mut self, id: u64) {
        let Some(pipe) = self.pipes.get_mut(&id) else {
            return;
        };
        if pipe.closing.is_none() {
            let size = fcntl(&pipe.fd, FcntlArg::F_GETPIPE_SZ).map_or(READ, |size| size as usize);
            pipe.closing = Some(size);
        }
        self.read_closing(id);
        let parked = |id: &&u64| self.pipes.get(id).is_some_and(|p| p.closing.is_some());
        if self.finish.is_none()
            && self.paused.iter().filter(parked).count() > PARKED + self.store.sources()
        {
            let oldest = self.paused.iter().find(parked).copied();
            if let Some(pipe) = oldest.and_then(|oldest| self.pipes.get(&oldest)) {
                self.store.give_up(pipe.source);
            }
            if let Some(oldest) = oldest {
                self.read_closing(oldest);
            }
        }
    }

    /// Reads a pipe to its end, as far as there is room.
    fn read_closing(&mut self, id: u64) {
        while self.read(id) == Got::Bytes {}
    }

    /// Reads what an instance wrote so far, as far as there is room.
    pub(super) fn catch_up(&mut self, label: &Label) {
        let pipes = self.pipes.iter();
        let ids: Vec<u64> = pipes
            .filter(|(_, pipe)| *pipe.label == *label)
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            // Not for ever: it may be writing.
            for _ in 0..16 {
                if self.read(id) != Got::Bytes {
                    break;
                }
                self.pump();
            }
        }
    }

    /// Reads once.
    pub(super) fn read(&mut self, id: u64) -> Got {
        let Some(pipe) = self.pipes.get_mut(&id) else {
            return Got::Nothing;
        };
        if !self.store.may_read(pipe.source, pipe.closing.is_some()) {
            if !pipe.paused {
                pipe.paused = true;
                self.paused.push(id);
                let _ = self.epoll.delete(&pipe.fd);
            }
            return Got::NoRoom;
        }
        self.buffer.resize(READ, 0);
        let most = pipe.closing.map_or(READ, |left| left.min(READ));
        let count = match nix::unistd::read(&pipe.fd, &mut self.buffer[..most]) {
            Ok(count) => count,
            Err(Errno::EAGAIN) if pipe.closing.is_none() => return Got::Nothing,
            Err(Errno::EINTR) => return Got::Bytes,
            Err(_) => 0,
        };
        if count == 0 {
            self.hang_up(id);
            return Got::Nothing;
        }
        self.counters
            .read_bytes
            .fetch_add(count as u64, Ordering::Relaxed);
        // Multi-line joining, redaction, level detection and filters come between framing and the store; files that are
        // tailed are pipes of another kind.
        let (time, read) = ((self.clock)(), self.store.next_read());
        let before = pipe.framer.held();
        let (store, source) = (&mut self.store, pipe.source);
        let mut emit = |bytes: &[u8], part| store.append(source, read, time, part, bytes);
        pipe.framer.push(&self.buffer[..count], pipe.max, &mut emit);
        self.held = self.held - before + pipe.framer.held();
        let long = pipe.framer.held();
        if self.held > HELD && long > HELD / self.pipes.len() {
            self.cut(id, read, time);
        }
        self.store.settle(source);
        let closing = self
            .pipes
            .get_mut(&id)
            .and_then(|pipe| pipe.closing.as_mut());
        if let Some(left) = closing {
            *left -= count;
            if *left == 0 {
                self.hang_up(id);
                return Got::Nothing;
            }
        }
        Got::Bytes
    }

    /// Gives out an unfinished line early: memory for them is short.
    #[cold]
    fn cut(&mut self, id: u64, read: u64, time: Wall) {
        let Some(pipe) = self.pipes.get_mut(&id) else {
            return;
        };
        let (store, source) = (&mut self.store, pipe.source);
        let before = pipe.framer.held();
        let mut emit = |bytes: &[u8], part| store.append(source, read, time, part, bytes);
        pipe.framer.cut(&mut emit);
        self.held = self.held - before + pipe.framer.held();
    }

    /// Nothing more comes out of a pipe: gives out an unterminated last line and closes it.
    fn hang_up(&mut self, id: u64) {
        let Some(mut pipe) = self.pipes.remove(&id) else {
            return;
        };
        // Before it is closed: the table has it, too, and that would keep it watched.
        if !pipe.paused {
            let _ = self.epoll.delete(&pipe.fd);
        }
        self.held -= pipe.framer.held();
        let (time, read) = ((self.clock)(), self.store.next_read());
        let (store, source) = (&mut self.store, pipe.source);
        let mut emit = |bytes: &[u8], part| store.append(source, read, time, part, bytes);
        pipe.framer.end(&mut emit);
        self.store.settle(source);
        self.store.close(source);
    }

    /// All pipes that wait for room.
    pub(super) fn paused_pipes(&self) -> Vec<u64> {
        let paused = self.pipes.iter().filter(|(_, pipe)| pipe.paused);
        paused.map(|(id, _)| *id).collect()
    }

    /// Goes on with the pipes for which there is room again. Says whether it read something.
    pub(super) fn resume(&mut self) -> bool {
        let mut progress = false;
        for id in std::mem::take(&mut self.paused) {
            let Some(pipe) = self.pipes.get_mut(&id) else {
                continue;
            };
            let closing = pipe.closing.is_some();
            if !self.store.may_read(pipe.source, closing) {
                self.paused.push(id);
            } else if closing {
                // Not left to the wait: it may hold nothing, and then nothing comes.
                self.read_closing(id);
                progress = true;
                if self.pipes.contains_key(&id) {
                    self.paused.push(id);
                }
            } else {
                let event = EpollEvent::new(EpollFlags::EPOLLIN, id);
                match self.epoll.add(&pipe.fd, event) {
                    Ok(()) => pipe.paused = false,
                    Err(_) => self.paused.push(id),
                }
            }
        }
        progress
    }
}
