//! Once per set: an init process that runs in one pod while the others wait. One pod's side of it, pure.
//!
//! There is a Lease for each such process of a set. Who needs the process run *claims* it: takes the Lease by the rules of
//! [`super::election`], with times of its own ([`TIMING`]), and may then run. The Lease also remembers for which
//! keys the process has succeeded, the last [`REMEMBERED`] of them, so a pod of an older revision does not repeat its own.
//!
//! | state | what it does | leaves it |
//! |---|---|---|
//! | Waiting | looks at the record; takes it when it is free | the key is among the successes: `Done`. Taken: `Granted`. Too long, or no right to Leases: `Refused` |
//! | Running | renews; tells each renewal, which moves the run's last instants | not renewed in time, or somebody else's: `Lost`. The run ended |
//! | Ending | writes in one step that nobody holds it and, after a success, that it is one; tries until that is written or the record is somebody else's | `Recorded` or `Unrecorded` |
//!
//! # What is promised
//!
//! - *Never two runs at once*, by the bounds of [`super::election`]. `stop_at` is `renew` (90 s) after the last renewal was
//!   sent: the run is asked to stop. `kill_at` is 10 s later: it gets KILL. Nobody else begins before `lease` (120 s). With
//!   clocks that run wrong by 1 % there are 17 s from the KILL to that moment; podinit may be paused (throttled, frozen) for
//!   less than that, and the run's processes must be gone by then, which those in an uninterruptible system call may not be.
//! - *A success is final*: nobody who reads it runs the key again, until 32 other keys have succeeded.
//! - *A failure is nobody's*: the Lease is released at once and whoever comes next may try.
//! - *At least one success* before anybody goes on; exactly one unless a success could not be written. When the API server
//!   goes away between the end of a run and the writing of its success, that pod goes on trying, even after its time: as
//!   long as nobody has claimed the record in between, the success still gets written. If somebody has, or if
//!   the pod ends before, the process runs a second time. So it must be one that can be run again after a success, as
//!   migrations are.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::election::{self, Action, Elector, Field, Timing};
use super::time::{Mono, Now};

#[cfg(test)]
mod tests;

/// Of claims. Longer than a set's: a run of minutes must survive an API server that is replaced, and nobody is in a hurry.
pub const TIMING: Timing = Timing {
    lease: Duration::from_secs(120),
    renew: Duration::from_secs(90),
    retry: Duration::from_secs(5),
};

/// So many successes are remembered in a Lease.
pub const REMEMBERED: usize = 32;

/// Leases may be forbidden for so long: right after an installation, rights may come later than pods.
const DENIED: Duration = Duration::from_secs(10);

/// What a process must succeed once for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunKey {
    /// What is remembered: the first 128 bits of a SHA-256, in hexadecimal.
    pub id: Arc<str>,
    /// For people: `runKey` as it was given, else the id.
    pub shown: Arc<str>,
}

impl RunKey {
    /// The key that the spec gives.
    pub fn given(key: &str) -> RunKey {
        RunKey {
            id: digest(["key", key].into_iter()),
            shown: key.into(),
        }
    }

    /// The key of a process without one: its command, its environment as the spec writes it (the path of a file, not
    /// what is in it: a new password is no reason to run it again), and the set's revision.
    pub fn of<'a>(
        command: impl IntoIterator<Item = &'a str>,
        env: impl IntoIterator<Item = (&'a str, &'a str)>,
        revision: Option<&'a str>,
    ) -> RunKey {
        let command: Vec<&str> = command.into_iter().collect();
        let count = command.len().to_string();
        let parts = [
            "process",
            revision.map_or("without", |_| "revision"),
            revision.unwrap_or(""),
            &count,
        ]
        .into_iter()
        .chain(command)
        .chain(env.into_iter().flat_map(|(name, value)| [name, value]));
        let id = digest(parts);
        RunKey {
            shown: id.clone(),
            id,
        }
    }

    /// The same in one ProcessSet: one that is deleted and made again, with an empty database maybe, has done nothing yet.
    #[must_use]
    pub fn in_set(&self, uid: &str) -> RunKey {
        let id = digest(["set", uid, &self.id].into_iter());
        let shown = if self.shown == self.id {
            id.clone()
        } else {
            self.shown.clone()
        };
        RunKey { id, shown }
    }
}

/// Parts of any content, none of which can pass for another list of parts.
fn digest<'a>(parts: impl Iterator<Item = &'a str>) -> Arc<str> {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    hex(&context.finish().as_ref()[..16]).into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The name of the Lease of an init process of a set: `SET-INIT-HASH`, a DNS label. HASH is the first eight digits of the
/// SHA-256 of `SET/INIT`, so that no two processes share one, whatever is cut.
pub fn lease_name(set: &str, init: &str) -> String {
    named(&format!("{set}-{init}"), &format!("{set}/{init}"))
}

/// The name of a set's own Lease: `SET-podinit`, or `SET-HASH` if that would be no DNS label.
pub fn set_lease_name(set: &str) -> String {
    let name = format!("{set}-podinit");
    if name.len() <= 63 && !name.contains('.') {
        name
    } else {
        named(set, &name)
    }
}

fn named(head: &str, whole: &str) -> String {
    const DIGITS: usize = 8;
    const HEAD: usize = 63 - 1 - DIGITS;
    let head: String = head
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .take(HEAD)
        .collect();
    let hash = ring::digest::digest(&ring::digest::SHA256, whole.as_bytes());
    let hash = hex(&hash.as_ref()[..DIGITS / 2]);
    format!("{}-{hash}", head.trim_matches('-'))
}

/// Adds a success, the newest last; the oldest ones are forgotten.
pub(super) fn remember(succeeded: &mut Vec<Arc<str>>, key: &Arc<str>) {
    succeeded.retain(|old| old != key);
    succeeded.push(key.clone());
    let over = succeeded.len().saturating_sub(REMEMBERED);
    succeeded.drain(..over);
}

/// The last instants of a run that was granted, unless a renewal moves them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term {
    /// It does not start any more, and is asked to stop.
    pub stop_at: Mono,
    /// It gets KILL.
    pub kill_at: Mono,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Answers an action.
    Answer(election::Event),
    /// Answers an action: this pod has not the right to. Nothing was written.
    Denied(String),
    /// The run ended, with all its processes.
    Ended {
        /// In a code that counts as a success.
        success: bool,
    },
    /// It is not needed any more; nothing runs.
    Withdraw,
    /// Nobody is there any more to say what becomes of it. What was begun may still run, so that its Lease ends by itself.
    Abandoned,
    /// The instant of [`Claim::deadline`] has come.
    Tick,
}

/// What the set is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// It may run, until then.
    Granted(Term),
    /// It may go on, until then.
    Renewed(Term),
    /// It has succeeded for this key: nothing is to be run. The last news.
    Done,
    /// It must end now: somebody else may begin soon.
    Lost,
    /// It cannot be had. The last news.
    Refused(Refusal),
    /// What became of it is written down. The last news.
    Recorded,
    /// It succeeded, but somebody else claimed it before that could be written, and runs it again. The last news.
    Unrecorded,
}

/// Why a claim cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Somebody else has it for too long: who, if anybody.
    TooLong {
        /// The holder's identity.
        holder: Option<Arc<str>>,
    },
    /// No right to Leases, as the API server put it.
    Denied(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::TooLong {
                holder: Some(holder),
            } => {
                write!(
                    f,
                    "it runs in one pod at a time, and {holder} has it for too long"
                )
            }
            Refusal::TooLong { holder: None } => {
                f.write_str("it runs in one pod at a time, and its Lease could not be had in time")
            }
            Refusal::Denied(why) => {
                write!(
                    f,
                    "it runs in one pod at a time, and {why}; its Role needs create, get and update of leases"
                )
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Running { term: Term, lost: bool },
    Ending { told: bool, success: bool },
    Over,
}

/// One pod's claim to one run.
#[derive(Debug, Clone)]
pub struct Claim {
    elector: Elector,
    key: RunKey,
    state: State,
    /// Not waiting longer than this.
    patience: Mono,
    denied: Option<Mono>,
    timing: Timing,
}

/// What a claim is told once.
#[derive(Debug, Clone)]
pub struct Config {
    /// This contender's name ([`election::Config::identity`]).
    pub identity: Arc<str>,
    /// The times: [`TIMING`], but for tests.
    pub timing: Timing,
    /// What it must succeed once for.
    pub key: RunKey,
    /// How long to wait for others at most.
    pub patience: Option<Duration>,
    /// Seeds the jitter.
    pub seed: u64,
}

impl Claim {
    /// A claim that knows nothing yet; its first tick is due now.
    pub fn new(config: Config, now: Now) -> Self {
        let Config {
            identity,
            timing,
            key,
            patience,
            seed,
        } = config;
        let election = election::Config {
            identity,
            timing,
            field: Field::Everybody,
            seed,
        };
        let mut elector = Elector::new(election, now);
        elector.set_key(key.shown.clone());
        Claim {
            elector,
            key,
            state: State::Waiting,
            patience: patience.map_or(Mono::NEVER, |patience| now.mono + patience),
            denied: None,
            timing,
        }
    }

    /// There is nothing more to do.
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// Who holds the record, as it was seen last.
    pub fn holder(&self) -> Option<Arc<str>> {
        let holder = &self.elector.record()?.holder;
        (!holder.is_empty()).then(|| holder.clone())
    }

    /// When it wants an [`Event::Tick`].
    pub fn deadline(&self, now: Mono) -> Mono {
        let patience = match self.state {
            State::Waiting => self.patience,
            State::Running { .. } | State::Ending { .. } | State::Over => Mono::NEVER,
        };
        self.elector.deadline(now).min(patience)
    }

    /// Takes what happened; gives what to do and what to tell.
    pub fn step(&mut self, event: Event, now: Now) -> (Action, Option<News>) {
        let waiting = self.state == State::Waiting;
        match event {
            Event::Answer(answer) => {
                // Not by a read: the right to write may be missing alone.
                if matches!(answer, election::Event::Written(_)) {
                    self.denied = None;
                }
                if waiting && self.is_done(&answer) {
                    self.state = State::Ending {
                        told: true,
                        success: false,
                    };
                    // Given up before it is looked at, so that it is not taken.
                    self.elector.step(election::Event::Release, now);
                    let action = self.elector.step(answer, now);
                    return (action, self.news(now).or(Some(News::Done)));
                }
                self.pass(answer, now)
            }
            Event::Denied(why) => {
                let since = *self.denied.get_or_insert(now.mono);
                let (action, news) = self.pass(election::Event::Failed, now);
                if waiting && now.mono.since(since) >= DENIED {
                    return self.refuse(Refusal::Denied(why), now);
                }
                (action, news)
            }
            Event::Ended { success } => {
                if matches!(self.state, State::Running { .. }) {
                    self.state = State::Ending {
                        told: false,
                        success,
                    };
                    if success {
                        self.elector.set_success(self.key.id.clone());
                    }
                }
                self.pass(election::Event::Release, now)
            }
            Event::Withdraw | Event::Abandoned if waiting => self.give_up(now),
            // The word that it is granted and the one that it is not wanted any more have met: nothing was begun.
            Event::Withdraw if matches!(self.state, State::Running { .. }) => self.give_up(now),
            Event::Withdraw | Event::Abandoned => (Action::Nothing, None),
            Event::Tick if waiting && now.mono >= self.patience => {
                let holder = self.holder();
                self.refuse(Refusal::TooLong { holder }, now)
            }
            Event::Tick => self.pass(election::Event::Tick, now),
        }
    }

    fn is_done(&self, answer: &election::Event) -> bool {
        matches!(answer, election::Event::Read(Some((record, _))) if record.succeeded.contains(&self.key.id))
    }

    fn refuse(&mut self, why: Refusal, now: Now) -> (Action, Option<News>) {
        let (action, _) = self.give_up(now);
        (action, Some(News::Refused(why)))
    }

    /// Nothing was run, and nothing will be.
    fn give_up(&mut self, now: Now) -> (Action, Option<News>) {
        self.state = State::Ending {
            told: true,
            success: false,
        };
        self.pass(election::Event::Release, now)
    }

    fn pass(&mut self, event: election::Event, now: Now) -> (Action, Option<News>) {
        let mut action = self.elector.step(event, now);
        let news = self.news(now);
        // Lost to somebody else: it is not to be had back, whatever that one does with it.
        if matches!(self.state, State::Running { lost: true, .. }) && !self.elector.is_ours() {
            action = match self.elector.step(election::Event::Release, now) {
                Action::Nothing => action,
                release => release,
            };
        }
        (action, news)
    }

    /// What changed by a step.
    fn news(&mut self, now: Now) -> Option<News> {
        let term = self.term(now.mono);
        match (self.state, term) {
            (State::Waiting, Some(term)) => {
                self.state = State::Running { term, lost: false };
                Some(News::Granted(term))
            }
            (State::Running { lost: true, .. } | State::Waiting | State::Over, _) => None,
            (State::Running { term, lost: false }, None) => {
                self.state = State::Running { term, lost: true };
                Some(News::Lost)
            }
            (State::Running { term: old, .. }, Some(term)) if old != term => {
                self.state = State::Running { term, lost: false };
                Some(News::Renewed(term))
            }
            (State::Running { .. }, Some(_)) => None,
            (State::Ending { told, success }, _) => {
                if !self.elector.is_over() {
                    return None;
                }
                self.state = State::Over;
                let written = self
                    .elector
                    .record()
                    .is_some_and(|record| record.succeeded.contains(&self.key.id));
                match (told, success && !written) {
                    (true, _) => None,
                    (false, true) => Some(News::Unrecorded),
                    (false, false) => Some(News::Recorded),
                }
            }
        }
    }

    fn term(&self, now: Mono) -> Option<Term> {
        let stop_at = self.elector.held_until().filter(|until| now < *until)?;
        let left = self.timing.lease.saturating_sub(self.timing.renew);
        Some(Term {
            stop_at,
            kill_at: stop_at + left / 3,
        })
    }
}
