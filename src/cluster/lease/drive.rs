//! The loop of a contender: one request at a time, its next tick, and what it is told meanwhile.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::store::{Answer, Store};
use crate::domain::election::{Action, Event};
use crate::domain::time::{Mono, Now};
use crate::ports::{Level, Record};

/// Reads the clocks.
pub type Clock = Arc<dyn Fn() -> Now + Send + Sync>;

/// Takes records about what goes wrong.
pub type Note = Arc<dyn Fn(Record) + Send + Sync>;

/// What asks for a Lease.
pub trait Contender {
    /// What it is told.
    type Command;

    /// Takes the answer to its request.
    fn answered(&mut self, answer: Answer, now: Now) -> Action;

    /// Takes a command; `None`: nobody is left to give one.
    fn told(&mut self, command: Option<Self::Command>, now: Now) -> Action;

    /// Its deadline has come.
    fn tick(&mut self, now: Now) -> Action;

    /// When it wants to be woken.
    fn deadline(&self, now: Mono) -> Mono;

    /// There is nothing more to do.
    fn is_over(&self) -> bool;

    /// It gives up, so a request that hangs may take no longer than this from now on.
    fn hurries(&self) -> Option<Duration>;

    /// After each step.
    fn publish(&mut self, now: Now);
}

type Flight = Pin<Box<dyn Future<Output = (Store, Answer)> + Send>>;

enum Woken<C> {
    Answer(Box<(Store, Answer)>),
    Command(Option<C>),
    Time,
}

/// Runs a contender to its end. Where it is dropped before, nothing is lost but what it had not written.
pub async fn drive<C: Contender>(
    contender: &mut C,
    store: Store,
    clock: &Clock,
    commands: &mut mpsc::Receiver<C::Command>,
    note: &Note,
) {
    let spare = store.clone();
    let mut trouble = Trouble::new(store.name(), note.clone());
    let mut idle = Some(store);
    let mut flight: Option<Flight> = None;
    let mut cut = Mono::NEVER;
    let mut listens = true;
    while !contender.is_over() {
        let now = clock().mono;
        let wake = contender.deadline(now).min(cut);
        let woken = wait(flight.as_mut(), commands, listens, wake, now).await;
        let now = clock();
        let action = match woken {
            Woken::Answer(answered) => {
                let (store, answer) = *answered;
                (idle, flight, cut) = (Some(store), None, Mono::NEVER);
                trouble.answered(&answer);
                contender.answered(answer, now)
            }
            Woken::Command(command) => {
                listens = command.is_some();
                contender.told(command, now)
            }
            Woken::Time if now.mono >= cut => {
                // Whatever is on its way may still arrive; the contender looks before it writes again.
                (idle, flight, cut) = (Some(spare.clone()), None, Mono::NEVER);
                contender.answered(Answer::Failed("given up".to_owned()), now)
            }
            Woken::Time => contender.tick(now),
        };
        if action != Action::Nothing
            && let Some(mut store) = idle.take()
        {
            flight = Some(Box::pin(async move {
                let answer = store.perform(action).await;
                (store, answer)
            }));
        }
        if let (Some(limit), true, Mono::NEVER) = (contender.hurries(), flight.is_some(), cut) {
            cut = now.mono + limit;
        }
        contender.publish(now);
    }
}

async fn wait<C>(
    flight: Option<&mut Flight>,
    commands: &mut mpsc::Receiver<C>,
    listens: bool,
    wake: Mono,
    now: Mono,
) -> Woken<C> {
    let answered = async {
        match flight {
            Some(flight) => flight.await,
            None => std::future::pending().await,
        }
    };
    let first = async {
        tokio::select! {
            biased;
            command = commands.recv(), if listens => Woken::Command(command),
            answered = answered => Woken::Answer(Box::new(answered)),
        }
    };
    if wake == Mono::NEVER {
        return first.await;
    }
    // Rounded up: timers count in milliseconds, and a tick that comes too soon is one for nothing.
    let left = wake.since(now) + Duration::from_micros(1);
    (tokio::time::timeout(left, first).await).unwrap_or(Woken::Time)
}

/// Tells once of what goes wrong, and once that it is over.
struct Trouble {
    name: String,
    note: Note,
    told: bool,
    denied: bool,
    failures: u32,
}

impl Trouble {
    /// So many calls in a row fail before it is told: one may fail at any time.
    const PATIENCE: u32 = 3;

    fn new(name: String, note: Note) -> Self {
        Trouble {
            name,
            note,
            told: false,
            denied: false,
            failures: 0,
        }
    }

    fn answered(&mut self, answer: &Answer) {
        let name = &self.name;
        match answer {
            // The right to write may be missing alone.
            Answer::Event(Event::Read(_)) if self.denied => {}
            Answer::Event(_) => {
                (self.failures, self.denied) = (0, false);
                if std::mem::take(&mut self.told) {
                    (self.note)(record(
                        Level::Info,
                        format!("the Lease {name} can be had again"),
                    ));
                }
            }
            Answer::Denied(why) | Answer::Failed(why) => {
                self.failures += 1;
                let denied = matches!(answer, Answer::Denied(_));
                self.denied |= denied;
                if !self.told && (denied || self.failures >= Self::PATIENCE) {
                    self.told = true;
                    let hint = if denied {
                        " (the pod's Role must allow get, create and update of leases)"
                    } else {
                        ""
                    };
                    let message = format!("the Lease {name} cannot be had: {why}{hint}");
                    (self.note)(record(Level::Warn, message));
                }
            }
        }
    }
}

/// A record about nobody in particular.
pub(super) fn record(level: Level, message: String) -> Record {
    Record {
        level,
        label: None,
        message,
        fields: Vec::new(),
        lines: Vec::new(),
    }
}
