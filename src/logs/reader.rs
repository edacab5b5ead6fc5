//! The logs thread: reads the pipes, hands formatted lines to the thread that writes, does what it is asked to. It never
//! blocks but in its wait for something to do.

mod pipe;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use self::pipe::{Pipe, READ, ids};
use super::inbox::{Command, Inbox};
use super::out::{CHUNK, Out, lines};
use super::stats::Counters;
use super::store::Store;
use crate::domain::time::Wall;
use crate::ports::{Level, Record, Value};

/// The wake-up, among the pipes.
const WAKE: u64 = u64::MAX;

#[derive(Debug)]
struct Finish {
    until: Instant,
    answer: SyncSender<u64>,
}

/// What is under way, for [`Reader::recover`].
#[derive(Debug, PartialEq, Eq)]
enum Doing {
    Writing,
    Else,
}

/// The thread's state; it outlives a panic.
#[derive(Debug)]
pub(super) struct Reader {
    inbox: Arc<Inbox>,
    out: Arc<Out>,
    counters: Arc<Counters>,
    clock: fn() -> Wall,
    epoll: Epoll,
    store: Store,
    /// By run and stream.
    pipes: HashMap<u64, Pipe>,
    paused: Vec<u64>,
    buffer: Vec<u8>,
    /// The output buffer under way.
    filling: Vec<u8>,
    /// Memory of unfinished lines, in bytes.
    held: usize,
    /// All output buffers are full.
    blocked: bool,
    finish: Option<Finish>,
    ended: bool,
    doing: Doing,
}

impl Reader {
    /// A reader without pipes.
    pub(super) fn new(
        inbox: Arc<Inbox>,
        out: Arc<Out>,
        counters: Arc<Counters>,
        clock: fn() -> Wall,
        store: Store,
    ) -> nix::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let event = EpollEvent::new(EpollFlags::EPOLLIN, WAKE);
        epoll.add(&inbox.wake.event, event)?;
        Ok(Reader {
            inbox,
            out,
            counters,
            clock,
            epoll,
            store,
            pipes: HashMap::new(),
            paused: Vec::new(),
            buffer: Vec::new(),
            filling: Vec::new(),
            held: 0,
            blocked: false,
            finish: None,
            ended: false,
            doing: Doing::Else,
        })
    }

    /// The life of the thread. May be called again after a panic and [`Reader::recover`].
    pub(super) fn run(&mut self) {
        let mut events = [EpollEvent::empty(); 64];
        self.pump();
        while !self.ended {
            // Interrupted, if anything: nothing else can go wrong with an epoll of our own.
            let count = self.epoll.wait(&mut events, self.timeout()).unwrap_or(0);
            for event in &events[..count] {
                if event.data() != WAKE {
                    self.read(event.data());
                }
                if self.store.backlog() >= CHUNK / 2 {
                    self.pump();
                }
                if event.data() == WAKE || self.inbox.wake.is_pending() {
                    self.commands();
                }
            }
            self.pump();
            self.look_at_finish();
            self.count();
        }
    }

    /// Makes the state whole after a panic.
    pub(super) fn recover(&mut self) {
        self.store.recover(self.doing == Doing::Writing);
        self.doing = Doing::Else;
        self.held = self.pipes.values().map(|pipe| pipe.framer.held()).sum();
        self.paused = self.paused_pipes();
        let whole = memchr::memrchr(b'\n', &self.filling).map_or(0, |at| at + 1);
        self.filling.truncate(whole);
        self.out.put(std::mem::take(&mut self.filling));
        // Whoever called may have been forgotten.
        self.inbox.wake.wake();
    }

    fn timeout(&self) -> EpollTimeout {
        let tell = self.store.tell_at().filter(|_| !self.blocked);
        let until = self.finish.as_ref().map(|finish| finish.until);
        let Some(due) = tell.into_iter().chain(until).min() else {
            return EpollTimeout::NONE;
        };
        let left = due.saturating_duration_since(Instant::now());
        // Whole milliseconds, rounded up: not to wake up too early and spin.
        let left = left + Duration::from_nanos(999_999);
        EpollTimeout::try_from(left).unwrap_or(EpollTimeout::MAX)
    }

    fn commands(&mut self) {
        self.inbox.wake.clear();
        self.store.lose_records(self.inbox.take_dropped());
        while let Some(command) = self.inbox.pop() {
            match command {
                Command::Open {
                    run,
                    label,
                    rule,
                    pipes,
                } => self.open(run, &label, &rule, pipes),
                Command::Relog { run, label, rule } => self.relog(run, &label, &rule),
                Command::Close(run) => {
                    for id in ids(run) {
                        self.close(id);
                    }
                }
                Command::Record(time, record) => self.store.record(&record, time),
                Command::LastLines {
                    label,
                    bytes,
                    answer,
                } => {
                    self.catch_up(&label);
                    // Nobody waits for it any longer: it was too late.
                    let _ = answer.try_send(self.store.last_lines(&label, bytes));
                }
                Command::Finish { until, answer } => {
                    self.finish = Some(Finish { until, answer });
                    let mut all: Vec<u64> = self.pipes.keys().copied().collect();
                    all.sort_unstable();
                    for id in all {
                        self.close(id);
                    }
                }
                Command::StopBlocking => {
                    self.store.stop_blocking();
                    self.resume();
                }
                Command::End => {
                    self.out.abandon();
                    self.ended = true;
                }
            }
        }
    }

    /// Hands over to the thread that writes as much as it takes, and reads those again for whom there is room then.
    fn pump(&mut self) {
        while self.hand_over() && self.resume() {}
    }

    /// Says whether anything was handed over.
    fn hand_over(&mut self) -> bool {
        self.doing = Doing::Writing;
        let mut progress = false;
        loop {
            let at = self.store.tell_at();
            let tell = self.store.has_losses() && at.is_none_or(|at| at <= Instant::now());
            if !tell && !self.store.has_backlog() {
                break;
            }
            let Some(buffer) = self.out.fill() else {
                self.blocked = true;
                break;
            };
            self.blocked = false;
            self.filling = buffer;
            self.tell(false);
            self.store.write(&mut self.filling, CHUNK);
            self.out.put(std::mem::take(&mut self.filling));
            progress = true;
        }
        self.doing = Doing::Else;
        progress
    }

    fn tell(&mut self, at_last: bool) {
        if self.store.has_losses() {
            self.store
                .tell_losses(Instant::now(), (self.clock)(), at_last);
        }
        let lost = self.out.take_lost();
        if lost > 0 {
            let record = Record {
                level: Level::Error,
                label: None,
                message: "lines lost: output failed".to_owned(),
                fields: vec![("lost", Value::Int(lost as i64))],
                lines: Vec::new(),
            };
            self.store.record(&record, (self.clock)());
        }
    }

    fn look_at_finish(&mut self) {
        let Some(Finish { until, answer }) = &self.finish else {
            return;
        };
        let (until, answer) = (*until, answer.clone());
        let read = self.pipes.is_empty() && !self.store.has_backlog();
        if read && self.store.has_losses() {
            self.tell(true);
            self.pump();
        }
        if read && !self.store.has_backlog() && self.out.is_idle() {
            self.out.end();
        } else if Instant::now() >= until {
            let unread = self.read_in_vain();
            let lost = self.store.abandon() + unread;
            self.counters.lost_lines.fetch_add(lost, Ordering::Relaxed);
            self.out.abandon();
        } else {
            return;
        }
        self.ended = true;
        self.count();
        let lost = self.counters.lost_lines.load(Ordering::Relaxed) + self.out.lost();
        let _ = answer.try_send(lost);
    }

    /// The number of lines in pipes that nobody will write.
    fn read_in_vain(&mut self) -> u64 {
        let mut lost = 0;
        self.buffer.resize(READ, 0);
        for (_, mut pipe) in self.pipes.drain() {
            pipe.framer.end(&mut |_, _| lost += 1);
            if let Ok(count) = nix::unistd::read(&pipe.fd, &mut self.buffer) {
                lost += lines(&self.buffer[..count]);
            }
        }
        lost
    }

    fn count(&self) {
        let (counts, to) = (self.store.counts, &self.counters);
        to.dropped_lines.store(counts.dropped, Ordering::Relaxed);
        to.dropped_records.store(counts.records, Ordering::Relaxed);
        to.cut_pieces.store(counts.cut, Ordering::Relaxed);
        to.invalid_lines
            .store(self.store.formatter.invalid, Ordering::Relaxed);
    }
}
