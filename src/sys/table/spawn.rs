//! Forking, and what comes of it.

use std::os::fd::{AsRawFd, RawFd};

use tokio::time::Instant;

use crate::domain::event::Event;
use crate::domain::exit::{SpawnFailure, SpawnStep};
use crate::domain::id::RunId;
use crate::domain::plan::Launch;
use crate::domain::signal::Signal;
use crate::ports::{LogPipes, Stdio};
use crate::sys::after_fork::{self, Place};
use crate::sys::call;
use crate::sys::launch::Prepared;
use crate::sys::pipes::{Answer, LogEnds, StatusPipe, Writers, pipe_failure};
use crate::sys::poller::Ready;

use super::kept::Kept;
use super::{Boundary, Output, Phase, Run, SPAWN_LIMIT, Table};

/// So many runs get large log pipes; the kernel's allowance for an unprivileged user is twice that.
const ROOMY_RUNS: usize = 64;

/// The streams of a run that is being started.
struct Streams {
    output: Output,
    /// `None`: it gets ours.
    writers: Option<Writers>,
    /// For the logs thread.
    logs: Option<LogPipes>,
}

impl Streams {
    fn of_child(&self, stdin: &impl AsRawFd) -> Option<[RawFd; 3]> {
        let [stdout, stderr] = self.writers.as_ref()?.raw();
        Some([stdin.as_raw_fd(), stdout, stderr])
    }
}

impl Table {
    pub(super) fn start(
        &mut self,
        run: RunId,
        launch: &Launch,
        stdio: Stdio,
    ) -> Result<Option<LogPipes>, SpawnFailure> {
        debug_assert!(
            call::on_main_thread(),
            "the parent death signal is sent when the thread that spawned ends"
        );
        let place = self.place_of(stdio);

        let streams = self.streams_of(run, launch, stdio)?;
        let (status, child_end) = StatusPipe::make()?;
        self.poller
            .add(status.as_fd(), Ready::Status(run))
            .map_err(pipe_failure)?;

        let prepared = Prepared::new(launch, &self.base);
        let orders = prepared.orders(child_end.as_raw_fd(), place, streams.of_child(&self.null));
        let pid = match after_fork::fork(&orders) {
            Ok(pid) => pid,
            Err(errno) => {
                let step = SpawnStep::Fork;
                return Err(SpawnFailure { step, errno });
            }
        };

        if let (Some(terminal), Place::Group | Place::Foreground) = (&mut self.terminal, place) {
            terminal.adopt(pid, place);
        }
        // The number is free again, so nobody is in the session that had it.
        if let Some(over) = self.leaderless.get(&pid).copied() {
            self.forget(over);
            self.queued.push(Event::SessionEmpty { run: over });
        }
        self.leaders.insert(pid, run);
        self.starting.push_back((Instant::now() + SPAWN_LIMIT, run));
        let entry = Run {
            pid,
            boundary: match place {
                Place::Session => Boundary::Session,
                Place::Group | Place::Foreground => Boundary::Group,
            },
            phase: Phase::Starting(status),
            killed: false,
            output: streams.output,
        };
        let earlier = self.runs.insert(run, entry);
        debug_assert!(earlier.is_none(), "a run's id is never used twice");
        Ok(streams.logs)
    }

    fn streams_of(
        &self,
        run: RunId,
        launch: &Launch,
        stdio: Stdio,
    ) -> Result<Streams, SpawnFailure> {
        let owner = launch.identity.as_ref();
        Ok(match stdio {
            Stdio::Inherited => Streams {
                output: Output::Elsewhere,
                writers: None,
                logs: None,
            },
            Stdio::Logged => {
                let (ends, writers) = LogEnds::make(owner, self.runs.len() < ROOMY_RUNS)?;
                let logs = Some(ends.duplicate().map_err(pipe_failure)?);
                Streams {
                    output: Output::Logged(ends),
                    writers: Some(writers),
                    logs,
                }
            }
            Stdio::Kept => {
                let (kept, writers) = Kept::make(owner)?;
                self.poller
                    .add(kept.as_fd(), Ready::Kept(run))
                    .map_err(pipe_failure)?;
                Streams {
                    output: Output::Kept(kept),
                    writers: Some(writers),
                    logs: None,
                }
            }
        })
    }

    /// A session of its own, so that what it leaves behind can be found. Only a child that shares our terminal has to
    /// stay in our session, and is a group of its own there.
    fn place_of(&self, stdio: Stdio) -> Place {
        match (stdio, &self.terminal) {
            (Stdio::Inherited, Some(terminal)) => terminal.place(),
            (Stdio::Inherited, None) | (Stdio::Logged | Stdio::Kept, _) => Place::Session,
        }
    }

    /// Takes a child's answer, if there is one.
    pub(super) fn settle(&mut self, run: RunId, events: &mut Vec<Event>) {
        let Some(entry) = self.runs.get_mut(&run) else {
            return;
        };
        let Phase::Starting(status) = &entry.phase else {
            return;
        };
        let answer = status.read();
        if answer == Answer::None {
            return;
        }
        self.poller.remove(status.as_fd());
        match answer {
            Answer::None => {}
            Answer::Executed => {
                entry.phase = Phase::Running;
                let pid = entry.pid as u32;
                events.push(Event::Spawned { run, pid });
            }
            Answer::Failed(failure) => {
                entry.phase = Phase::Failed;
                let output = std::mem::replace(&mut entry.output, Output::Elsewhere);
                self.close_output(output);
                events.push(Event::SpawnFailed { run, failure });
            }
        }
    }

    /// Kills children that hang before their exec, as on a mount that does not answer.
    pub(super) fn give_up_late_starts(&mut self, events: &mut Vec<Event>) {
        let Some(mut until) = self.next_deadline() else {
            return;
        };
        let now = Instant::now();
        while until <= now {
            if let Some((_, run)) = self.starting.pop_front() {
                self.settle(run, events);
                self.give_up(run, events);
            }
            match self.next_deadline() {
                Some(next) => until = next,
                None => return,
            }
        }
    }

    fn give_up(&mut self, run: RunId, events: &mut Vec<Event>) {
        let Some(entry) = self.runs.get_mut(&run) else {
            return;
        };
        let Phase::Starting(status) = &entry.phase else {
            return;
        };
        self.poller.remove(status.as_fd());
        call::kill(entry.pid, Signal::KILL);
        entry.phase = Phase::Failed;
        let output = std::mem::replace(&mut entry.output, Output::Elsewhere);
        self.close_output(output);
        let failure = SpawnFailure {
            step: SpawnStep::TimedOut,
            errno: 0,
        };
        events.push(Event::SpawnFailed { run, failure });
    }
}
