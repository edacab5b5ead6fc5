//! What the logs thread is asked to do: a queue that never makes the asker wait, and a wake-up.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::domain::id::{Label, RunId};
use crate::domain::plan::LogRule;
use crate::domain::time::Wall;
use crate::ports::{LogPipes, Record};

/// Records that may wait for the logs thread; it fetches them at once unless it is in trouble.
const RECORDS: usize = 8192;
/// Everything else that may wait.
const COMMANDS: usize = 64 * 1024;
/// The thread is woken for so many, though more may follow at once.
const MANY: usize = 64;

/// Something to do.
#[derive(Debug)]
pub(super) enum Command {
    Open {
        run: RunId,
        label: Arc<Label>,
        rule: Arc<LogRule>,
        pipes: LogPipes,
    },
    Relog {
        run: RunId,
        label: Arc<Label>,
        rule: Arc<LogRule>,
    },
    Close(RunId),
    Record(Wall, Record),
    LastLines {
        label: Label,
        bytes: usize,
        answer: SyncSender<Vec<String>>,
    },
    Finish {
        until: Instant,
        /// Gets the number of lines that could not be written.
        answer: SyncSender<u64>,
    },
    /// `Block` means `DropOldest` from now on.
    StopBlocking,
    /// Nobody is left to ask: end without writing out anything.
    End,
}

impl Command {
    pub(super) fn open(
        run: RunId,
        label: &Arc<Label>,
        rule: &Arc<LogRule>,
        pipes: LogPipes,
    ) -> Self {
        Command::Open {
            run,
            label: Arc::clone(label),
            rule: Arc::clone(rule),
            pipes,
        }
    }

    pub(super) fn relog(run: RunId, label: &Arc<Label>, rule: &Arc<LogRule>) -> Self {
        Command::Relog {
            run,
            label: Arc::clone(label),
            rule: Arc::clone(rule),
        }
    }
}

/// Wakes the logs thread out of its wait.
#[derive(Debug)]
pub(super) struct Wake {
    pub(super) event: EventFd,
    pending: AtomicBool,
}

impl Wake {
    pub(super) fn new() -> nix::Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        Ok(Wake {
            event: EventFd::from_flags(flags)?,
            pending: AtomicBool::new(false),
        })
    }

    /// Ends the present or the next wait.
    pub(super) fn wake(&self) {
        if !self.pending.swap(true, Ordering::AcqRel) {
            // Cannot fail: the counter is 0 or 1.
            let _ = self.event.write(1);
        }
    }

    /// Whether somebody called since the last [`Wake::clear`].
    pub(super) fn is_pending(&self) -> bool {
        self.pending.load(Ordering::Acquire)
    }

    /// The logs thread looks at everything after this.
    pub(super) fn clear(&self) {
        let _ = self.event.read();
        self.pending.store(false, Ordering::Release);
    }
}

#[derive(Debug, Default)]
struct Queue {
    commands: VecDeque<Command>,
    records: usize,
    dropped: u64,
    closed: bool,
}

/// The queue.
#[derive(Debug)]
pub(super) struct Inbox {
    queue: Mutex<Queue>,
    pub(super) wake: Wake,
}

impl Inbox {
    pub(super) fn new() -> nix::Result<Self> {
        Ok(Inbox {
            queue: Mutex::default(),
            wake: Wake::new()?,
        })
    }

    /// Appends a command and wakes the logs thread. Of records the oldest is dropped and counted when there are too many.
    /// Refuses, by giving the command back, when nothing is accepted any more.
    pub(super) fn push(&self, command: Command) -> Result<(), Command> {
        self.append(command)?;
        self.wake.wake();
        Ok(())
    }

    /// As [`Inbox::push`], but the thread may be left asleep until [`Inbox::wake_for_what_waits`].
    pub(super) fn append(&self, command: Command) -> Result<(), Command> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.closed || queue.commands.len() >= COMMANDS + RECORDS {
            return Err(command);
        }
        queue.closed = matches!(command, Command::Finish { .. } | Command::End);
        if matches!(command, Command::Record(..)) {
            if queue.records == RECORDS {
                let is_record = |c: &Command| matches!(c, Command::Record(..));
                if let Some(oldest) = queue.commands.iter().position(is_record) {
                    queue.commands.remove(oldest);
                    queue.dropped += 1;
                    queue.records -= 1;
                }
            }
            queue.records += 1;
        }
        queue.commands.push_back(command);
        let many = queue.commands.len() >= MANY;
        drop(queue);
        if many {
            self.wake.wake();
        }
        Ok(())
    }

    /// Wakes the thread if there is anything to do.
    pub(super) fn wake_for_what_waits(&self) {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = !queue.commands.is_empty();
        drop(queue);
        if waits {
            self.wake.wake();
        }
    }

    /// Takes the oldest command.
    pub(super) fn pop(&self) -> Option<Command> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let command = queue.commands.pop_front();
        queue.records -= usize::from(matches!(command, Some(Command::Record(..))));
        command
    }

    /// The number of records dropped since the last call.
    pub(super) fn take_dropped(&self) -> u64 {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut queue.dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::Level;

    fn record(n: usize) -> Command {
        let record = Record {
            level: Level::Info,
            label: None,
            message: n.to_string(),
            fields: Vec::new(),
            lines: Vec::new(),
        };
        Command::Record(Wall(0), record)
    }

    #[test]
    fn the_oldest_records_go_and_commands_stay() {
        let inbox = Inbox::new().unwrap();
        inbox.push(Command::Close(RunId(1))).unwrap();
        for n in 0..RECORDS + 10 {
            inbox.push(record(n)).unwrap();
        }
        assert!(inbox.wake.is_pending());
        assert_eq!(inbox.take_dropped(), 10);
        assert_eq!(inbox.take_dropped(), 0);
        assert!(matches!(inbox.pop(), Some(Command::Close(RunId(1)))));
        assert!(matches!(inbox.pop(), Some(Command::Record(_, r)) if r.message == "10"));
    }

    #[test]
    fn nothing_is_accepted_after_the_end() {
        let inbox = Inbox::new().unwrap();
        inbox.push(Command::End).unwrap();
        assert!(inbox.push(record(1)).is_err());
        assert!(inbox.push(Command::Close(RunId(1))).is_err());
    }

    #[test]
    fn what_is_appended_wakes_when_it_is_much_or_when_asked() {
        let inbox = Inbox::new().unwrap();
        inbox.wake_for_what_waits();
        assert!(!inbox.wake.is_pending());
        inbox.append(record(0)).unwrap();
        assert!(!inbox.wake.is_pending());
        inbox.wake_for_what_waits();
        assert!(inbox.wake.is_pending());
        inbox.wake.clear();
        for n in 2..MANY {
            inbox.append(record(n)).unwrap();
            assert!(!inbox.wake.is_pending());
        }
        inbox.append(record(MANY)).unwrap();
        assert!(inbox.wake.is_pending());
    }

    #[test]
    fn a_wake_up_is_kept_until_it_is_cleared() {
        let wake = Wake::new().unwrap();
        assert!(!wake.is_pending());
        wake.wake();
        wake.wake();
        assert_eq!(wake.event.read(), Ok(1));
        assert!(wake.is_pending());
        wake.clear();
        assert!(!wake.is_pending());
    }
}
