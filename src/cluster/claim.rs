//! An init process that runs once per set: claims the run, and renews while it runs.

use std::time::Duration;

use tokio::sync::mpsc;

use super::lease::drive::{Clock, Contender, Note, drive};
use super::lease::store::{Answer, Store};
use crate::domain::claim::{Claim, Config, Event, News};
use crate::domain::election::{self, Action};
use crate::domain::time::{Mono, Now};

#[cfg(test)]
mod tests;

/// What a claim is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// The run that was granted ended, with all its processes.
    Ended {
        /// In a code that counts as a success.
        success: bool,
    },
    /// It is not needed any more, and nothing runs. Every sender gone means the same.
    Withdraw,
}

/// Claims a run. `tell` gets what comes of it, in order, and must not block; returns after the last news, or once the
/// claim is withdrawn.
pub async fn claim(
    store: Store,
    config: Config,
    clock: Clock,
    mut commands: mpsc::Receiver<Command>,
    tell: impl FnMut(News) + Send,
    note: Note,
) {
    let mut claimant = Claimant {
        claim: Claim::new(config, clock()),
        tell,
    };
    drive(&mut claimant, store, &clock, &mut commands, &note).await;
}

struct Claimant<T> {
    claim: Claim,
    tell: T,
}

impl<T: FnMut(News)> Claimant<T> {
    fn step(&mut self, event: Event, now: Now) -> Action {
        let (action, news) = self.claim.step(event, now);
        if let Some(news) = news {
            (self.tell)(news);
        }
        action
    }
}

impl<T: FnMut(News)> Contender for Claimant<T> {
    type Command = Command;

    fn answered(&mut self, answer: Answer, now: Now) -> Action {
        let event = match answer {
            Answer::Event(event) => Event::Answer(event),
            Answer::Denied(why) => Event::Denied(why),
            Answer::Failed(_) => Event::Answer(election::Event::Failed),
        };
        self.step(event, now)
    }

    fn told(&mut self, command: Option<Command>, now: Now) -> Action {
        let event = match command {
            Some(Command::Ended { success }) => Event::Ended { success },
            Some(Command::Withdraw) => Event::Withdraw,
            None => Event::Abandoned,
        };
        self.step(event, now)
    }

    fn tick(&mut self, now: Now) -> Action {
        self.step(Event::Tick, now)
    }

    fn deadline(&self, now: Mono) -> Mono {
        self.claim.deadline(now)
    }

    fn is_over(&self) -> bool {
        self.claim.is_over()
    }

    fn hurries(&self) -> Option<Duration> {
        None
    }

    fn publish(&mut self, _now: Now) {}
}
