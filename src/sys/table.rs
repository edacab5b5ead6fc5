//! The one owner of every child: spawns, signals and reaps.
//!
//! # How a child lives here
//!
//! A run is *starting* until its status pipe answers, then *running*; when its leader has died and something of its
//! session is left it is *leaderless*; then it is forgotten. A child that is no run (an orphan that the kernel gave us)
//! is a *stranger*: it is reaped and counted, nothing else, until [`Children::end_orphans`].
//!
//! # Why no signal hits a foreign process
//!
//! A process id cannot be used again before it is reaped, and only this table reaps; so the leader's is its own while it
//! is in `leaders`, as is the group of the same number. Session members are other processes' children: each is held by
//! a pidfd, then looked at once more, then signalled through it. The number of a session stays taken as long as it has
//! a member; so a process that has the number of a leader that we reaped proves that the session is over.
//!
//! # Why an exit is never late and costs nothing when idle
//!
//! Signals, status pipes and witnesses (below) are behind one descriptor, and nothing is polled. One turn does a bounded
//! amount of work, and what it did not get to makes the next one start at once.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::event::Event;
use crate::domain::exit::SpawnFailure;
use crate::domain::id::RunId;
use crate::domain::plan::{Launch, SignalTarget};
use crate::domain::signal::Signal;
use crate::ports::{Children, LogPipes, Stdio};

use super::call::{self, Pid};
use super::launch::Base;
use super::pid1::Start;
use super::pipes::{LogEnds, StatusPipe};
use super::poller::{self, Poller, Ready};
use super::signals::{self, SignalFd, SignalMode};
use super::terminal::Terminal;

mod kept;
mod notify;
mod orphans;
mod processes;
mod reap;
mod session;
mod signal;
mod spawn;

use kept::Kept;
use notify::Notify;
use orphans::Ending;
use processes::{Look, Processes};
use reap::Remains;
use session::{Boundary, Witness};

/// A child that has not made its exec by then is killed.
pub const SPAWN_LIMIT: Duration = Duration::from_secs(10);

/// All children.
#[derive(Debug)]
pub struct Table {
    base: Base,
    mode: SignalMode,
    is_pid1: bool,
    /// stdin of children whose output is logged or kept.
    null: OwnedFd,
    /// Ours, in `--` mode.
    terminal: Option<Terminal>,
    signals: SignalFd,
    poller: Poller,
    runs: HashMap<RunId, Run>,
    /// Runs' first processes that we have not reaped.
    leaders: HashMap<Pid, RunId>,
    /// Sessions whose first process we have reaped, by its number.
    leaderless: HashMap<Pid, RunId>,
    /// Runs that may still be starting, oldest first, and when each is given up.
    starting: VecDeque<(Instant, RunId)>,
    processes: Processes,
    /// What [`Children::signal`] saw since the last turn: so a stop of a thousand runs looks once.
    look: Option<Look>,
    /// Found between two turns.
    queued: Vec<Event>,
    ending: Option<Ending>,
    notify: Option<Notify>,
    /// Leaderless runs of which something has died.
    doubtful: BTreeSet<RunId>,
    /// Turns in which those were not looked at, as there was more to reap.
    postponed: u32,
    /// There may be children to reap.
    reap_due: bool,
    /// Leaders whose exits the last turn reported, until something was spawned.
    buried: u32,
    remains: Remains,
}

#[derive(Debug)]
struct Run {
    /// Of its first process, and so of its session or group.
    pid: Pid,
    boundary: Boundary,
    phase: Phase,
    /// Everything in its session was sent KILL; who turns up later gets it too.
    killed: bool,
    output: Output,
}

/// Our ends of what a run writes.
#[derive(Debug)]
enum Output {
    /// It goes where ours goes, or the run has ended before its exec.
    Elsewhere,
    /// The logs thread reads it.
    Logged(LogEnds),
    /// We read it.
    Kept(Kept),
}

#[derive(Debug)]
enum Phase {
    /// Forked; its exec has not answered.
    Starting(StatusPipe),
    /// Its exec succeeded.
    Running,
    /// Its exec failed, which was reported. Only to be reaped.
    Failed,
    /// Its first process is reaped, something of its session is left. The witness is part of that: its death makes us
    /// look for another one. Without one (no pidfds here, or it left the session) any stranger's death does.
    Leaderless(Option<Witness>),
}

impl Table {
    /// Inside a runtime with I/O and time, on the main thread.
    pub fn new(start: Start) -> io::Result<Table> {
        #[expect(clippy::disallowed_methods, reason = "the edge")]
        let null = File::open("/dev/null")?;
        let mut groups = super::host::own_groups();
        groups.sort_unstable();
        groups.dedup();
        let signal_fd = SignalFd::open(start.mode)?;
        let poller = Poller::open()?;
        poller.add(signal_fd.as_fd(), Ready::Signals)?;
        let terminal = match start.mode {
            SignalMode::Set => None,
            SignalMode::Command => Terminal::of_stdin(),
        };
        Ok(Table {
            base: Base {
                pid: call::own_pid(),
                start_dir: start.dir,
                nofile: start.nofile,
                groups,
                signals: signals::not_default(),
            },
            mode: start.mode,
            is_pid1: start.is_pid1,
            null: null.into(),
            terminal,
            signals: signal_fd,
            poller,
            runs: HashMap::new(),
            leaders: HashMap::new(),
            leaderless: HashMap::new(),
            starting: VecDeque::new(),
            processes: Processes::open(),
            look: None,
            queued: Vec::new(),
            ending: None,
            notify: None,
            doubtful: BTreeSet::new(),
            postponed: 0,
            // Whoever started us by exec may have left us children.
            reap_due: true,
            buried: 0,
            remains: Remains::default(),
        })
    }

    /// Runs that are not over: starting, running, or with something of their session left. For a last resort that has
    /// to end them without knowing the plan.
    pub fn runs(&self) -> Vec<RunId> {
        let over = |run: &Run| matches!(run.phase, Phase::Failed);
        self.runs
            .iter()
            .filter(|(_, run)| !over(run))
            .map(|(id, _)| *id)
            .collect()
    }

    /// The read ends of a run's log pipes, for a logs thread that starts anew. `None`: no such run, or not logged.
    pub fn log_pipes(&self, run: RunId) -> Option<LogPipes> {
        match &self.runs.get(&run)?.output {
            Output::Logged(ends) => Some(ends.pipes()),
            Output::Elsewhere | Output::Kept(_) => None,
        }
    }

    /// Deals with what has happened, without waiting. Says whether there may be more.
    fn turn(&mut self, events: &mut Vec<Event>) -> bool {
        self.look = None;
        let put_off = self.clear_remains();
        let ready = self.poller.ready();
        let mut more = ready.len() == poller::BATCH;

        if ready.contains(&Ready::Signals) {
            let pending = self.signals.take();
            events.extend(pending.signals.into_iter().map(Event::Signal));
            if pending.child {
                self.reap_due = true;
                self.mind_terminal();
            }
        }
        events.append(&mut self.queued);

        for what in ready {
            match what {
                Ready::Signals => {}
                Ready::Status(run) => self.settle(run, events),
                Ready::Witness(run) => {
                    self.doubtful.insert(run);
                }
                Ready::Kept(run) => more |= self.take_kept(run),
                Ready::Notify => self.hear(events),
            }
        }
        self.give_up_late_starts(events);

        let reaped = if self.reap_due {
            self.reap(put_off, events)
        } else {
            reap::Reaped::default()
        };
        self.buried = reaped.leaders;
        if reaped.strangers > 0 {
            let blind: Vec<RunId> = self.without_witness().collect();
            self.doubtful.extend(blind);
        }
        self.look_after_reaping(events);
        self.go_on_ending(reaped, events);
        more |= self.allow_messages();
        more || self.reap_due
    }

    /// When the oldest start is given up.
    fn next_deadline(&mut self) -> Option<Instant> {
        while let Some((until, run)) = self.starting.front() {
            if self.is_starting(*run) {
                return Some(*until);
            }
            self.starting.pop_front();
        }
        None
    }

    fn is_starting(&self, run: RunId) -> bool {
        self.runs
            .get(&run)
            .is_some_and(|run| matches!(run.phase, Phase::Starting(_)))
    }

    /// Stops and goes on with the child, as a shell's job does.
    fn mind_terminal(&mut self) {
        if let Some(terminal) = &mut self.terminal {
            terminal.mind(self.is_pid1);
        }
    }

    /// Drops all we have of a run.
    fn forget(&mut self, run: RunId) {
        if let Some(run) = self.runs.remove(&run) {
            self.leaderless.remove(&run.pid);
            if let Phase::Leaderless(Some(witness)) = &run.phase {
                self.poller.remove(witness.as_fd());
            }
            self.put_off(run.output);
        }
    }
}

impl Children for Table {
    fn spawn(
        &mut self,
        run: RunId,
        launch: &Launch,
        stdio: Stdio,
    ) -> Result<Option<LogPipes>, SpawnFailure> {
        self.start(run, launch, stdio)
    }

    /// With TERM, INT and QUIT goes a CONT (not in `--` mode): a stopped process could not end otherwise.
    fn signal(&mut self, run: RunId, signal: Signal, target: SignalTarget) -> bool {
        self.send(run, signal, target)
    }

    fn listen_notify(&mut self, socket: &str) -> io::Result<()> {
        self.listen(socket)
    }

    fn end_orphans(&mut self, signal: Signal) {
        self.begin_ending(signal);
    }

    async fn wait(&mut self, events: &mut Vec<Event>) {
        let before = events.len();
        loop {
            let more = self.turn(events);
            if events.len() > before {
                return;
            }
            if more {
                // What goes on without end and tells nothing must not keep timers and messages from their turn.
                tokio::task::yield_now().await;
                continue;
            }
            match self.next_deadline() {
                Some(until) => {
                    tokio::select! {
                        () = self.poller.changed() => {}
                        () = tokio::time::sleep_until(until) => {}
                    }
                }
                None => self.poller.changed().await,
            }
        }
    }
}
