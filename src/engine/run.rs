//! The loop.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::execute::{Executed, Executor};
use super::publish;
use crate::domain::event::Event;
use crate::domain::snapshot::Snapshot;
use crate::domain::system::{Outcome, System};
use crate::domain::time::Now;
use crate::ports::{Children, Logs, Message, Outside};

/// The time from TERM to KILL after an internal error.
const EMERGENCY_GRACE: Duration = Duration::from_secs(5);

/// Messages dealt with in one turn, so that what changes often is published once.
const BATCH: usize = 256;

/// The system and everything that carries out its effects. Lives on the main thread.
#[derive(Debug)]
pub struct Engine<C, L, O> {
    system: System,
    executor: Executor<C, L, O>,
    mailbox: mpsc::Receiver<Message>,
    first: Option<Event>,
    /// Where snapshots go; `None`: nobody looks.
    snapshots: Option<watch::Sender<Arc<Snapshot>>>,
    /// Whoever waits for what came with the events of this turn.
    taken: Vec<oneshot::Sender<()>>,
    clock: fn() -> Now,
}

impl<C: Children, L: Logs, O: Outside> Engine<C, L, O> {
    /// An engine around a system that waits for its plan. `mailbox` brings everything but signals and exits.
    pub fn new(
        system: System,
        executor: Executor<C, L, O>,
        mailbox: mpsc::Receiver<Message>,
        clock: fn() -> Now,
    ) -> Self {
        Engine {
            system,
            executor,
            mailbox,
            first: None,
            snapshots: None,
            taken: Vec::new(),
            clock,
        }
    }

    /// From now on what the set looks like is published once a turn, if it changed.
    pub fn publish_to(&mut self, snapshots: watch::Sender<Arc<Snapshot>>) {
        self.snapshots = Some(snapshots);
    }

    /// What comes before everything else, signals too.
    pub fn begin_with(&mut self, event: Event) {
        self.first = Some(event);
    }

    /// Runs until the system is done. Never fails: what goes wrong outside is an event.
    pub async fn run(&mut self) -> Outcome {
        let mut events = VecDeque::from_iter(self.first.take());
        loop {
            while let Some(event) = events.pop_front() {
                if let Some(outcome) = self.turn(event, &mut events) {
                    self.publish();
                    return outcome;
                }
            }
            self.publish();
            self.next(&mut events).await;
        }
    }

    /// The end of a turn: the logs get on with what they were given; what changed is shown; then those who waited for it are
    /// told that it is so.
    fn publish(&mut self) {
        self.executor.logs().flush();
        if let Some(snapshots) = &self.snapshots
            && let Some(snapshot) = self.system.snapshot()
        {
            snapshots.send_replace(snapshot);
        }
        for taken in self.taken.drain(..) {
            // Whoever asked may have gone.
            let _ = taken.send(());
        }
    }

    fn take(&mut self, message: Message, events: &mut Vec<Event>) {
        events.extend(message.event);
        self.taken.extend(message.taken);
    }

    /// One event, its effects and facts. Answers that are there at once are put into `events`. Effects come first: a
    /// restart does not wait for the log threads that a record wakes.
    fn turn(&mut self, event: Event, events: &mut VecDeque<Event>) -> Option<Outcome> {
        let over = Executor::<C, L, O>::over(&event);
        let outbox = self.system.step(event, (self.clock)());
        let mut ended = None;
        for effect in outbox.effects {
            match self.executor.start(effect) {
                Executed::Started => {}
                Executed::Answered(event) => events.push_back(event),
                Executed::Exit(outcome) => ended = Some(outcome),
            }
        }
        if let Some(run) = over {
            self.executor.close(run);
        }
        for fact in outbox.facts {
            let (record, notice) = publish::told(fact);
            if let Some(notice) = notice {
                self.executor.outside().notice(notice);
            }
            self.executor.logs().record(record);
        }
        ended
    }

    /// Waits for at least one event.
    async fn next(&mut self, events: &mut VecDeque<Event>) {
        let now = (self.clock)().mono;
        let wait = self
            .system
            .next_deadline()
            .map(|deadline| deadline.since(now));
        let mut happened = Vec::new();
        tokio::select! {
            biased;
            () = self.executor.children().wait(&mut happened) => {}
            () = sleep(wait) => happened.push(Event::Tick),
            // Closed: whoever could send is gone, and nothing more comes from there.
            Some(message) = self.mailbox.recv() => self.take(message, &mut happened),
        }
        // What keeps happening outside must not keep timers and messages from their turn.
        let now = (self.clock)().mono;
        let due = self.system.next_deadline().is_some_and(|at| at <= now);
        if due && !matches!(happened.last(), Some(Event::Tick)) {
            happened.push(Event::Tick);
        }
        for _ in 0..BATCH {
            let Ok(message) = self.mailbox.try_recv() else {
                break;
            };
            self.take(message, &mut happened);
        }
        events.extend(happened);
    }

    /// After an internal error: ends every child as well as can be, without the system. At most 5 s, then KILL.
    pub async fn emergency(&mut self) {
        self.executor.terminate_all();
        let deadline = tokio::time::Instant::now() + EMERGENCY_GRACE;
        self.wait_childless(deadline).await;
        self.executor.kill_all();
        let deadline = tokio::time::Instant::now() + EMERGENCY_GRACE / 10;
        self.wait_childless(deadline).await;
    }

    async fn wait_childless(&mut self, deadline: tokio::time::Instant) {
        let mut events = Vec::new();
        let until_childless = async {
            loop {
                self.executor.children().wait(&mut events).await;
                for event in events.drain(..) {
                    if matches!(event, Event::Childless) {
                        return;
                    }
                    if let Some(run) = Executor::<C, L, O>::over(&event) {
                        self.executor.close(run);
                    }
                }
                // In a storm nothing ever waits, and the timeout below has no turn.
                if tokio::time::Instant::now() >= deadline {
                    return;
                }
            }
        };
        // Too late is fine: KILL follows, or the end of podinit.
        let _ = tokio::time::timeout_at(deadline, until_childless).await;
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one timer of the core: the system's next deadline"
)]
async fn sleep(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}
