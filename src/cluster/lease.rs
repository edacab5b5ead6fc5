//! A set's Lease: asks for it, keeps it, and says whether it is held.

use std::time::Duration;

use tokio::sync::{mpsc, watch};

use self::drive::{Clock, Contender, Note, drive};
use self::store::{Answer, Store};
use crate::domain::election::{Action, Config, Elector, Event};
use crate::domain::time::{Mono, Now};
use crate::ports::Level;

pub mod drive;
pub mod store;
#[cfg(test)]
pub(crate) mod tests;

/// A request that is on its way when the Lease is given up may take so long.
const LAST_CALL: Duration = Duration::from_secs(1);

/// What the elector is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// The pod became ready or unready.
    Ready(bool),
    /// So many pods were counted.
    Pods(u32),
    /// Give it up: a stop has begun. Every sender gone means the same.
    Release,
}

/// Is it held? Compared with the clock each time: a thread that is late cannot make it hold longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Held {
    /// Until when, by the clock that [`hold`] was given.
    pub until: Option<Mono>,
}

impl Held {
    /// May this pod act as the holder?
    pub fn holds(&self, now: Mono) -> bool {
        self.until.is_some_and(|until| now < until)
    }
}

/// Asks for a Lease and keeps it until `Command::Release`; returns once it is given up. `held` changes with each renewal,
/// and to `None` at the first instant at which it is held no longer.
pub async fn hold(
    store: Store,
    config: Config,
    clock: Clock,
    mut commands: mpsc::Receiver<Command>,
    held: watch::Sender<Held>,
    note: Note,
) {
    let name = store.name();
    let mut candidate = Candidate {
        elector: Elector::new(config, clock()),
        held,
        name,
        note: note.clone(),
    };
    drive(&mut candidate, store, &clock, &mut commands, &note).await;
}

struct Candidate {
    elector: Elector,
    held: watch::Sender<Held>,
    name: String,
    note: Note,
}

impl Contender for Candidate {
    type Command = Command;

    fn answered(&mut self, answer: Answer, now: Now) -> Action {
        let event = match answer {
            Answer::Event(event) => event,
            Answer::Denied(_) => Event::Denied,
            Answer::Failed(_) => Event::Failed,
        };
        self.elector.step(event, now)
    }

    fn told(&mut self, command: Option<Command>, now: Now) -> Action {
        let event = match command {
            Some(Command::Ready(ready)) => Event::Ready(ready),
            Some(Command::Pods(pods)) => Event::Pods(pods),
            Some(Command::Release) | None => Event::Release,
        };
        self.elector.step(event, now)
    }

    fn tick(&mut self, now: Now) -> Action {
        self.elector.step(Event::Tick, now)
    }

    fn deadline(&self, now: Mono) -> Mono {
        self.elector.deadline(now)
    }

    fn is_over(&self) -> bool {
        self.elector.is_over()
    }

    fn hurries(&self) -> Option<Duration> {
        self.elector.is_releasing().then_some(LAST_CALL)
    }

    fn publish(&mut self, now: Now) {
        let until = self.elector.held_until().filter(|until| now.mono < *until);
        let before = *self.held.borrow();
        if before.until == until {
            return;
        }
        self.held.send_replace(Held { until });
        let said = match (before.until, until) {
            (None, Some(_)) => "holds the Lease",
            (Some(_), None) => "holds no longer the Lease",
            _ => return,
        };
        let message = format!("this pod {said} {}", self.name);
        (self.note)(drive::record(Level::Info, message));
    }
}
