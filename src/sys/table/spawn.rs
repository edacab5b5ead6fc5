//! Forking, and what comes of it.

use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

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

/// So many runs get large log pipes, and keep their write ends; the kernel's allowance for an unprivileged user is twice
/// that.
const ROOMY_RUNS: usize = 64;

/// For so long at most we leave the CPU to a child: most have made their exec by then.
const GIVE_WAY: Duration = Duration::from_millis(1);

/// The limit of a user's processes.
const NPROC: u32 = libc::RLIMIT_NPROC;

/// The streams of a run that is being started.
struct Streams {
    output: Output,
    /// Those that are the child's alone.
    writers: Option<Writers>,
}

impl Streams {
    /// `None`: it gets ours.
    fn of_child(&self, stdin: &impl AsRawFd) -> Option<[RawFd; 3]> {
        let writers = match &self.output {
            Output::Logged(ends) => ends.writers(),
            Output::Kept(_) | Output::Elsewhere => None,
        };
        let [stdout, stderr] = writers.or(self.writers.as_ref())?.raw();
        Some([stdin.as_raw_fd(), stdout, stderr])
    }

    /// For the logs thread.
    fn logs(&self) -> Option<LogPipes> {
        match &self.output {
            Output::Logged(ends) => Some(ends.pipes()),
            Output::Kept(_) | Output::Elsewhere => None,
        }
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
        if launch.identity.is_some() || launch.rlimits.iter().any(|l| l.resource == NPROC) {
            // The dead count, too, where a user may have so many processes only; and then it is the exec that fails.
            self.reap_remains();
        }
        match self.try_start(run, launch, stdio) {
            // What was put off may be what is missing: a descriptor, or a process.
            Err(_) if self.clear_remains() => self.try_start(run, launch, stdio),
            result => result,
        }
    }

    fn try_start(
        &mut self,
        run: RunId,
        launch: &Launch,
        stdio: Stdio,
    ) -> Result<Option<LogPipes>, SpawnFailure> {
        let place = self.place_of(stdio);

        let streams = self.streams_of(run, launch, stdio)?;
        let logs = streams.logs();
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

        drop((child_end, streams.writers));
        if logs.is_some() {
            self.give_way();
        }

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
        Ok(logs)
    }

    /// Leaves the CPU to a child that replaces one that has just died: what is left to do for that one, and the threads
    /// that this wakes, would keep it from its exec where all share a CPU.
    fn give_way(&mut self) {
        if std::mem::take(&mut self.buried) == 1 && self.queued.is_empty() {
            self.signals.wait(GIVE_WAY);
        }
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
            },
            Stdio::Logged => {
                let (ends, writers) = LogEnds::make(owner, self.runs.len() < ROOMY_RUNS)?;
                Streams {
                    output: Output::Logged(ends),
                    writers,
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
                self.close_output(&output);
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
        self.close_output(&output);
        let failure = SpawnFailure {
            step: SpawnStep::TimedOut,
            errno: 0,
        };
        events.push(Event::SpawnFailed { run, failure });
    }
}
