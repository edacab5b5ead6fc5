//! Logs: children's output and our own records, read, framed, formatted and written on two threads of their own, so that
//! an output that blocks stops nothing else.
//!
//! ```text
//! pipes -> frame -> store (a ring a stream: backlog, then history) -> format -> buffers -> standard output
//!          `---------------------- thread `logs` -----------------------'      `-- thread `logs-out` --'
//! ```
//!
//! [`Pipeline`] is what the rest of podinit sees. Read in this order: `frame`, `ring`, `store`, `format` (all
//! pure), then `reader`, `out`, `sink`.
//!
//! # Memory
//!
//! Whatever the children write and however long the output is blocked:
//!
//! | what | at most |
//! |---|---|
//! | lines, waiting and last ones | 8 MiB and one read; our own records 2 MiB; a stream 64 KiB, while output is blocked a read (64 KiB) more, when the run ends another 64 KiB |
//! | unfinished lines | 2 MiB |
//! | buffers for reading and writing | 256 KiB, and the line being formatted: six times `maxLineBytes` if it is all control characters |
//! | commands | 8,192 records |
//!
//! Nothing of it is allocated before it is needed.
//!
//! # When output blocks
//!
//! [`crate::domain::plan::Backpressure::Block`]: the stream is not read once its ring is full, so the child waits; what a
//! run leaves behind in its pipes is read when there is room. `DropOldest`: the oldest lines go, are counted, and a record
//! with `dropped` says so as soon as output flows again, at most once a second and stream. Our own records: likewise.
//! What happens when output fails: `sink`.
//!
//! # Not here yet
//!
//! Multi-line joining, redaction, level detection and filters: between framing and the store, where whole lines of one
//! stream go by in order (`reader`, at the read). Tailed files: pipes of another kind there.
#![expect(
    clippy::disallowed_methods,
    reason = "an adapter: it has threads, a wall clock for people and waits of its own"
)]

mod deferred;
mod envelope;
mod format;
mod frame;
mod inbox;
mod json;
mod out;
mod reader;
mod record;
mod ring;
mod sink;
mod stamp;
mod stats;
mod store;
mod tail;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::Builder;
use std::time::{Duration, Instant, SystemTime};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

pub use self::deferred::Deferred;
use self::inbox::{Command, Inbox};
use self::out::Out;
use self::reader::Reader;
use self::sink::Sink;
use self::stats::Counters;
pub use self::stats::Stats;
use self::store::Store;
use crate::domain::id::{Label, RunId};
use crate::domain::plan::{LogFormat, LogRule};
use crate::domain::time::Wall;
use crate::ports::{LogPipes, Logs, Record};

/// Stack of a thread, in bytes.
const STACK: usize = 256 * 1024;
/// For how long [`Logs::last_lines`] waits.
const ANSWER: Duration = Duration::from_millis(200);

/// What a [`Pipeline`] is made of.
#[derive(Debug)]
pub struct Config {
    /// Where lines go: a duplicate of our standard output. `None` when that is closed: lines are counted as lost.
    pub out: Option<OwnedFd>,
    /// Where it is said that lines were lost at the end: a duplicate of our standard error.
    pub err: Option<OwnedFd>,
    /// How our own records look; `Raw` is taken for `Text`.
    pub format: LogFormat,
    /// Whether `Text` is coloured: `out` is a terminal and nobody asked for none.
    pub colour: bool,
    /// The wall clock; [`wall_clock`] but in tests.
    pub clock: fn() -> Wall,
}

/// The wall clock.
pub fn wall_clock() -> Wall {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Wall(since.map_or(0, |since| since.as_micros() as i64))
}

/// Children's output and our own records, on their way to standard output.
///
/// Dropping it ends its threads without writing out anything: see [`Logs::finish`].
#[derive(Debug)]
pub struct Pipeline {
    inbox: Arc<Inbox>,
    out: Arc<Out>,
    counters: Arc<Counters>,
    clock: fn() -> Wall,
    err: Option<OwnedFd>,
}

impl Pipeline {
    /// Starts the threads. Fails when they, an epoll or an eventfd cannot be had.
    pub fn start(config: Config) -> io::Result<Self> {
        let inbox = Arc::new(Inbox::new()?);
        let out = Arc::new(Out::default());
        let counters = Arc::new(Counters::default());
        let store = Store::new(config.format, config.colour);
        let mut reader = Reader::new(
            Arc::clone(&inbox),
            Arc::clone(&out),
            Arc::clone(&counters),
            config.clock,
            store,
        )?;
        let pipeline = Pipeline {
            inbox,
            out,
            counters,
            clock: config.clock,
            err: config.err,
        };
        let counters = Arc::clone(&pipeline.counters);
        spawn("logs", move || {
            keep_running(&counters.panics, &mut reader, Reader::run, Reader::recover);
        })?;
        let (inbox, out) = (Arc::clone(&pipeline.inbox), Arc::clone(&pipeline.out));
        let counters = Arc::clone(&pipeline.counters);
        let mut sink = Sink::new(config.out);
        spawn("logs-out", move || {
            let run = |sink: &mut Sink| out.write_to(sink, &inbox.wake);
            keep_running(&counters.panics, &mut sink, run, |_| ());
        })?;
        Ok(pipeline)
    }

    /// What was counted so far.
    pub fn stats(&self) -> Stats {
        self.counters.stats(self.out.lost())
    }

    /// Says on standard error what was lost, unless that could block.
    fn complain(&self, lost: &str) {
        let Some(err) = &self.err else {
            return;
        };
        let mut fds = [PollFd::new(err.as_fd(), PollFlags::POLLOUT)];
        let ready = poll(&mut fds, PollTimeout::ZERO) == Ok(1);
        if ready && fds[0].revents() == Some(PollFlags::POLLOUT) {
            // Short enough to be taken whole; nobody is left to tell if it fails.
            let line = format!("podinit: {lost} of log output could not be written\n");
            let _ = nix::unistd::write(err, line.as_bytes());
        }
    }
}

impl Logs for Pipeline {
    fn open(&self, run: RunId, label: &Arc<Label>, rule: &Arc<LogRule>, pipes: LogPipes) {
        // Refused only after the end: the pipes are closed then.
        let _ = self.inbox.push(Command::open(run, label, rule, pipes));
    }

    fn relog(&self, run: RunId, label: &Arc<Label>, rule: &Arc<LogRule>) {
        let _ = self.inbox.push(Command::relog(run, label, rule));
    }

    fn close(&self, run: RunId) {
        let _ = self.inbox.push(Command::Close(run));
    }

    fn record(&self, record: Record) {
        let _ = self.inbox.push(Command::Record((self.clock)(), record));
    }

    fn stop_blocking(&self) {
        let _ = self.inbox.push(Command::StopBlocking);
    }

    /// Nothing to do: whatever it is given wakes it.
    fn flush(&self) {}

    /// Waits 200 ms at most; without an answer by then: no lines.
    fn last_lines(&self, label: &Label, bytes: usize) -> Vec<String> {
        let (answer, lines) = sync_channel(1);
        let asked = self.inbox.push(Command::LastLines {
            label: label.clone(),
            bytes,
            answer,
        });
        match asked {
            Ok(()) => lines.recv_timeout(ANSWER).unwrap_or_default(),
            Err(_) => Vec::new(),
        }
    }

    fn finish(&self, limit: Duration) {
        let (answer, lost) = sync_channel(1);
        let start = Instant::now();
        // A little before the limit, so that the answer comes within it.
        let until = start + limit.saturating_sub((limit / 8).min(Duration::from_millis(100)));
        if self.inbox.push(Command::Finish { until, answer }).is_err() {
            return;
        }
        match receive(&lost, limit) {
            // All is written: the threads are about to end.
            Some(0) => {}
            Some(lost) => self.complain(&format!("{lost} lines")),
            None => self.complain("some lines"),
        }
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        let _ = self.inbox.push(Command::End);
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let builder = Builder::new().name(name.to_owned()).stack_size(STACK);
    builder.spawn(run)?;
    Ok(())
}

fn receive(lost: &Receiver<u64>, limit: Duration) -> Option<u64> {
    lost.recv_timeout(limit).ok()
}

/// Runs a thread's life; begins it again after a panic, with the state it had.
fn keep_running<S>(
    panics: &AtomicU64,
    state: &mut S,
    run: impl Fn(&mut S),
    recover: impl Fn(&mut S),
) {
    while catch_unwind(AssertUnwindSafe(|| run(state))).is_err() {
        panics.fetch_add(1, Ordering::Relaxed);
        if catch_unwind(AssertUnwindSafe(|| recover(state))).is_err() {
            return;
        }
    }
}
