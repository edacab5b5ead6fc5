//! Who holds a Lease: one contender's side of it, by the rules of client-go. Pure: the edge reads and writes.
//!
//! # The rules
//!
//! - A record is *valid* for as long as its `leaseDurationSeconds` says (never less than our own) after it was seen to
//!   change, on the contender's own monotonic clock. The times written in it are for people: they are never compared
//!   with a clock, so wall clocks may be wrong by any amount and may jump.
//! - It is taken only when it is released (no holder) or was seen unchanged for all of that time, and always by a write
//!   that fails unless the record is still the one that was looked at (`resourceVersion`).
//! - A holder renews every `retry`. It holds until `renew` after the moment it *sent* its last successful write, not
//!   after the answer came; from then on it must not act, whatever became of the write in flight.
//! - A write without an answer may have been applied, now or later: the record is read before the next write.
//! - Giving up writes no holder and a duration of 1 s, so that the next one need not wait.
//!
//! # Why two never hold
//!
//! Say the last write of holder A that was applied was sent at the true instant t. A holds until t + `renew` on its own
//! clock. B sees that write at t or later, waits for `lease` on its own clock from there, and its write fails if A's
//! record changed meanwhile. With clocks that run wrong by a share d (not set wrong: running too fast or too slow), A
//! holds until t + renew / (1 - d) at the latest and B begins at t + lease / (1 + d) at the earliest. For 15 s and 10 s
//! these meet at d = 20 %; at 1 % there are 4.7 s between them.
//!
//! # What that does not cover
//!
//! - *A holder that is paused* (throttled, stopped, its machine frozen) after it looked at [`Elector::holds`] and before it
//!   acted: it acts when it wakes. No other one holds by then if the pause was shorter than those 4.7 s; if it was longer,
//!   two may act at once. What is done under the Lease must therefore be harmless twice, or check again where it acts:
//!   write with the `resourceVersion` of what was read.
//! - *A clock that stands still*, as the monotonic clock of a machine that was suspended does, counts as one that runs
//!   wrong.
//! - *Somebody who deletes the Lease or writes it by hand.* A contender that knew the record waits for its time to pass
//!   all the same; one that has just started cannot know, and takes it.
//! - *A database that forgets*: an API server restored from a backup may apply a write a second time.

use std::sync::Arc;
use std::time::Duration;

use super::hash::fnv1a;
use super::time::{Mono, Now, Wall};

#[cfg(test)]
pub(crate) mod tests;

/// About so many pods ask for a set's Lease.
const CANDIDATES: u64 = 8;

/// After so long without a renewal anybody may take a set's Lease.
pub const ABANDONED: Duration = Duration::from_secs(300);
/// After so long a pod that is not ready may ask for it as well: none is, while their spec is a bad one.
pub const NOBODY_READY: Duration = Duration::from_secs(30);

/// How often a pod that is no candidate looks: a pod's share, and its bounds.
const LOOK_PER_POD: Duration = Duration::from_millis(20);
const LOOK_MIN: Duration = Duration::from_secs(30);
const LOOK_MAX: Duration = Duration::from_secs(120);

/// Shortest and longest time between two looks of who waits for a claim.
const WAIT_MIN: Duration = Duration::from_secs(1);
const WAIT_MAX: Duration = Duration::from_secs(30);

/// No record is believed to be valid for longer than this.
const VALID_MAX: Duration = Duration::from_secs(3600);

/// The times of a Lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How long others wait for a holder that is silent. Whole seconds.
    pub lease: Duration,
    /// How long after its last renewal a holder still acts.
    pub renew: Duration,
    /// Between renewals, and (jittered) between the looks of those who want it.
    pub retry: Duration,
}

impl Timing {
    /// Of a set's Lease, as client-go has them: 15 s, 10 s, 2 s.
    pub const SET: Timing = Timing {
        lease: Duration::from_secs(15),
        renew: Duration::from_secs(10),
        retry: Duration::from_secs(2),
    };
}

/// A Lease's content, as far as it means something to us.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// Who holds it; empty: nobody.
    pub holder: Arc<str>,
    /// For how long others believe it.
    pub duration: Duration,
    /// When its holder took it, by that one's wall clock.
    pub acquired: Wall,
    /// When it was written last, by the holder's wall clock.
    pub renewed: Wall,
    /// How often it went from one holder to another.
    pub transitions: u32,
    /// How many pods the set has, as its holder counted them.
    pub pods: Option<u32>,
    /// For what the holder of a claim runs.
    pub key: Option<Arc<str>>,
    /// For what a claim's run succeeded, oldest first.
    pub succeeded: Vec<Arc<str>>,
}

/// The API server's `resourceVersion` of a record.
pub type Version = Arc<str>;

/// What a contender is told once.
#[derive(Debug, Clone)]
pub struct Config {
    /// Its name in the record. Never in use by two contenders at the same time; a restarted container may have the one of
    /// its predecessor, which is dead, and then goes on at once.
    pub identity: Arc<str>,
    /// The times.
    pub timing: Timing,
    /// Who asks for it.
    pub field: Field,
    /// Seeds the jitter.
    pub seed: u64,
}

/// Who asks for a Lease, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// A few ready pods of a set, by the hash of their uid (this pod's); the others look now and then.
    Few {
        /// This pod's uid.
        uid: Arc<str>,
    },
    /// Everybody who needs it; whoever waits looks ever less often.
    Everybody,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Answers [`Action::Read`]: what is there, if anything.
    Read(Option<(Record, Version)>),
    /// Answers a write: it was applied and the record has this version.
    Written(Version),
    /// Answers a write: the record is another one by now, or gone. Nothing was written.
    Conflict,
    /// Answers anything: no answer, or an error. A write may have been applied all the same, now or later.
    Failed,
    /// Answers anything: forbidden. Nothing was written, and nothing will be before somebody grants the right.
    Denied,
    /// The pod became ready or unready: only ready pods are candidates for a set's Lease.
    Ready(bool),
    /// The holder counted the set's pods.
    Pods(u32),
    /// Give it up and want it no more.
    Release,
    /// The instant of [`Elector::deadline`] has come.
    Tick,
}

/// What to do. Each but `Nothing` is answered by exactly one event, within a limit of the edge's choosing; until then
/// there is no other one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    Nothing,
    /// Read the record.
    Read,
    /// Create it.
    Create(Record),
    /// Replace the record of this version.
    Update(Record, Version),
}

#[derive(Debug, Clone)]
struct Observed {
    record: Record,
    version: Version,
    /// When it was seen to change.
    at: Mono,
}

#[derive(Debug, Clone)]
struct Flight {
    sent: Mono,
    write: Option<Record>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Aim {
    /// To have it.
    Hold,
    /// To give it up.
    Release,
    /// Nothing: it is given up, or somebody else's.
    Over,
}

/// One contender.
#[derive(Debug, Clone)]
pub struct Elector {
    config: Config,
    aim: Aim,
    observed: Option<Observed>,
    /// The record was read in this try, so nothing newer is known to exist.
    fresh: bool,
    /// What is stored may differ from what was observed: a write's fate is unknown.
    doubt: bool,
    flight: Option<Flight>,
    /// When the write was sent that made or kept us the holder.
    renewed: Option<Mono>,
    next: Mono,
    began: Mono,
    ready: bool,
    pods: Option<u32>,
    key: Option<Arc<str>>,
    success: Option<Arc<str>>,
    random: u64,
}

/// Is this pod one of those who ask for a set's Lease? About eight of `pods` ready ones are, by the hash of their uid;
/// with eight or fewer, or nobody knows how many, all of them; and all once it was not renewed for five minutes.
pub fn is_candidate(uid: &str, pods: u32, since_last_renewal: Duration) -> bool {
    let pods = u64::from(pods);
    since_last_renewal >= ABANDONED
        || pods <= CANDIDATES
        || fnv1a(&["lease/", uid]) % pods < CANDIDATES
}

impl Elector {
    /// A contender that knows nothing yet and reads at its first tick, which is due now.
    pub fn new(config: Config, now: Now) -> Self {
        Elector {
            random: config.seed,
            config,
            aim: Aim::Hold,
            observed: None,
            fresh: false,
            doubt: false,
            flight: None,
            renewed: None,
            next: now.mono,
            began: now.mono,
            ready: true,
            pods: None,
            key: None,
            success: None,
        }
    }

    /// Writes for what this contender runs into the record, once it holds it.
    pub(super) fn set_key(&mut self, key: Arc<str>) {
        self.key = Some(key);
    }

    /// What giving it up records as done.
    pub(super) fn set_success(&mut self, key: Arc<str>) {
        self.success = Some(key);
    }

    /// May it act as the holder?
    pub fn holds(&self, now: Mono) -> bool {
        self.held_until().is_some_and(|until| now < until)
    }

    /// Until when it may act as the holder, if it is not told otherwise before.
    pub fn held_until(&self) -> Option<Mono> {
        let renewed = self.renewed.filter(|_| self.aim == Aim::Hold)?;
        Some(renewed + self.config.timing.renew)
    }

    /// It was released and is given up, or was somebody else's.
    pub fn is_over(&self) -> bool {
        self.aim == Aim::Over
    }

    /// It is being given up.
    pub fn is_releasing(&self) -> bool {
        self.aim == Aim::Release
    }

    /// The record as it was last seen.
    pub fn record(&self) -> Option<&Record> {
        self.observed.as_ref().map(|observed| &observed.record)
    }

    /// The record as it was last seen says that it is ours, whether or not we may still act on it.
    pub fn is_ours(&self) -> bool {
        self.record()
            .is_some_and(|record| record.holder == self.config.identity)
    }

    /// When it wants an [`Event::Tick`]: for its next request, or because it holds no longer.
    pub fn deadline(&self, now: Mono) -> Mono {
        let act = match (&self.flight, self.aim) {
            (Some(_), _) | (None, Aim::Over) => Mono::NEVER,
            (None, Aim::Hold | Aim::Release) => self.next,
        };
        let end = self.held_until().filter(|until| now < *until);
        act.min(end.unwrap_or(Mono::NEVER))
    }

    /// Takes what happened; gives what to do.
    pub fn step(&mut self, event: Event, now: Now) -> Action {
        match event {
            Event::Read(found) => {
                self.flight = None;
                self.saw(found, now.mono);
                self.decide(now)
            }
            Event::Written(version) => self.written(version, now),
            Event::Conflict => self.conflicted(now),
            Event::Failed => {
                self.failed(now.mono);
                Action::Nothing
            }
            Event::Denied => {
                self.denied(now.mono);
                Action::Nothing
            }
            Event::Ready(ready) => {
                // Whoever waits for its turn as a bystander looks anew in a candidate's rhythm.
                if ready && !std::mem::replace(&mut self.ready, ready) {
                    let soon = now.mono + self.pause(now.mono);
                    self.next = self.next.min(soon);
                }
                self.ready = ready;
                Action::Nothing
            }
            Event::Pods(pods) => {
                self.pods = Some(pods);
                Action::Nothing
            }
            Event::Release => self.release(now),
            Event::Tick => self.tick(now),
        }
    }

    fn tick(&mut self, now: Now) -> Action {
        if self.flight.is_some() || now.mono < self.next || self.aim == Aim::Over {
            return Action::Nothing;
        }
        // A holder that knows the record saves the read; if that is not the record any more, it is told so.
        let known = !self.doubt && self.is_ours();
        if known && (self.aim == Aim::Release || self.holds(now.mono)) {
            return self.decide(now);
        }
        self.read(now.mono)
    }

    fn release(&mut self, now: Now) -> Action {
        if self.aim == Aim::Hold {
            self.aim = Aim::Release;
            self.next = now.mono;
        }
        // Without doubt somebody else's, or nobody's: there is nothing to give up.
        if self.aim == Aim::Release && self.flight.is_none() && !self.doubt && !self.is_ours() {
            self.aim = Aim::Over;
        }
        self.tick(now)
    }

    fn written(&mut self, version: Version, now: Now) -> Action {
        let Some(Flight {
            sent,
            write: Some(record),
        }) = self.flight.take()
        else {
            return Action::Nothing;
        };
        let ours = record.holder == self.config.identity;
        self.renewed = ours.then_some(sent);
        self.observed = Some(Observed {
            record,
            version,
            at: now.mono,
        });
        (self.doubt, self.fresh) = (false, false);
        self.next = (sent + self.config.timing.retry).max(now.mono);
        match self.aim {
            Aim::Release if ours => {
                self.next = now.mono;
                self.tick(now)
            }
            Aim::Release | Aim::Over => {
                self.aim = Aim::Over;
                Action::Nothing
            }
            Aim::Hold => Action::Nothing,
        }
    }

    fn conflicted(&mut self, now: Now) -> Action {
        // A read cannot be in conflict with anything: whatever it is, it is not asked again at once.
        if (self.flight.as_ref()).is_some_and(|flight| flight.write.is_none()) {
            self.failed(now.mono);
            return Action::Nothing;
        }
        let sent = self.flight.take().map_or(now.mono, |flight| flight.sent);
        self.doubt = true;
        // Written from memory: there is something newer, and it may still be ours. Once read, the loser of a race waits.
        if !std::mem::take(&mut self.fresh) {
            return self.read(now.mono);
        }
        self.next = self.again(sent, now.mono);
        Action::Nothing
    }

    fn failed(&mut self, now: Mono) {
        let Some(flight) = self.flight.take() else {
            return;
        };
        self.fresh = false;
        self.doubt |= flight.write.is_some();
        self.next = self.again(flight.sent, now);
    }

    fn denied(&mut self, now: Mono) {
        let Some(flight) = self.flight.take() else {
            return;
        };
        self.fresh = false;
        if self.aim == Aim::Release {
            // It cannot be given up, so it ends by itself.
            self.aim = Aim::Over;
        }
        self.next = if self.holds(now) {
            self.again(flight.sent, now)
        } else {
            // A fleet without the right does not ask for it as often as one that has it.
            now + LOOK_MIN.mul_f64(0.5 + self.draw())
        };
    }

    /// When to try again after a failure: who has something to lose, in the holder's rhythm.
    fn again(&mut self, sent: Mono, now: Mono) -> Mono {
        if self.is_ours() || self.aim == Aim::Release {
            (sent + self.config.timing.retry).max(now)
        } else {
            now + self.pause(now)
        }
    }

    fn read(&mut self, now: Mono) -> Action {
        self.flight = Some(Flight {
            sent: now,
            write: None,
        });
        Action::Read
    }

    fn saw(&mut self, found: Option<(Record, Version)>, now: Mono) {
        (self.doubt, self.fresh) = (false, true);
        match found {
            Some((record, version)) => {
                if record.holder != self.config.identity {
                    self.renewed = None;
                }
                let same = self
                    .observed
                    .as_ref()
                    .is_some_and(|observed| observed.version == version);
                if !same {
                    self.observed = Some(Observed {
                        record,
                        version,
                        at: now,
                    });
                }
            }
            None => {
                // Deleted: its holder may not know yet, so its time passes as if it were there.
                if let Some(observed) = &mut self.observed {
                    observed.version = Version::from("");
                }
            }
        }
    }

    /// What to do about the record as it is known.
    fn decide(&mut self, now: Now) -> Action {
        let ours = self.is_ours();
        let absent = self
            .observed
            .as_ref()
            .is_none_or(|observed| observed.version.is_empty());
        match self.aim {
            Aim::Over => Action::Nothing,
            Aim::Release if ours && !absent => self.write(self.released(now.wall), now.mono),
            Aim::Release => {
                self.aim = Aim::Over;
                Action::Nothing
            }
            // Deleted under its holder, who is the first to have a right to it.
            Aim::Hold if ours && (!absent || self.holds(now.mono)) => {
                self.write(self.held(now.wall), now.mono)
            }
            Aim::Hold if self.expired(now.mono) && self.may_take(now.mono) => {
                self.write(self.held(now.wall), now.mono)
            }
            Aim::Hold => {
                self.fresh = false;
                self.next = now.mono + self.pause(now.mono);
                Action::Nothing
            }
        }
    }

    fn write(&mut self, record: Record, now: Mono) -> Action {
        self.flight = Some(Flight {
            sent: now,
            write: Some(record.clone()),
        });
        match &self.observed {
            Some(observed) if !observed.version.is_empty() => {
                Action::Update(record, observed.version.clone())
            }
            _ => Action::Create(record),
        }
    }

    /// Until when the record as it was seen forbids others to take it.
    fn valid_until(&self) -> Mono {
        match &self.observed {
            Some(observed) if !observed.record.holder.is_empty() => {
                let longest = VALID_MAX.max(self.config.timing.lease);
                let valid = observed
                    .record
                    .duration
                    .clamp(self.config.timing.lease, longest);
                observed.at + valid
            }
            _ => Mono::ZERO,
        }
    }

    fn expired(&self, now: Mono) -> bool {
        now >= self.valid_until()
    }

    /// How long nothing was seen of a holder.
    fn silence(&self, now: Mono) -> Duration {
        now.since(self.observed.as_ref().map_or(self.began, |seen| seen.at))
    }

    /// Is it one of those who may take it?
    fn may_take(&self, now: Mono) -> bool {
        let silent = self.silence(now);
        match &self.config.field {
            Field::Everybody => true,
            Field::Few { uid } => {
                let asks = self.ready || silent >= NOBODY_READY;
                silent >= ABANDONED || asks && is_candidate(uid, self.known_pods(), silent)
            }
        }
    }

    fn known_pods(&self) -> u32 {
        let told = self.record().and_then(|record| record.pods);
        told.or(self.pods).unwrap_or(0)
    }

    /// How long until the next look of one who does not hold it.
    fn pause(&mut self, now: Mono) -> Duration {
        let retry = self.config.timing.retry;
        let share = self.draw();
        // As client-go: the period and up to 1.2 times as much again.
        let jittered = |time: Duration| time + time.mul_f64(1.2 * share);
        let left = self.valid_until().since(now);
        match &self.config.field {
            Field::Few { uid } => {
                // Not asked how long it is silent: who may take it only because of that keeps looking rarely.
                if is_candidate(uid, self.known_pods(), Duration::ZERO) {
                    let waits = if self.ready {
                        Duration::ZERO
                    } else {
                        NOBODY_READY.saturating_sub(self.silence(now))
                    };
                    waits + jittered(retry)
                } else {
                    let look = (LOOK_PER_POD * self.known_pods()).clamp(LOOK_MIN, LOOK_MAX);
                    look.mul_f64(0.5 + share)
                }
            }
            Field::Everybody => {
                // In proportion to the wait so far; and not later than it takes to see that the holder is gone.
                let shortest = retry.min(WAIT_MIN);
                let waited = now.since(self.began) / 4;
                let look = jittered(waited.clamp(shortest, WAIT_MAX));
                let gone = left + jittered(shortest);
                look.min(gone)
            }
        }
    }

    /// The record with us as its holder.
    fn held(&self, wall: Wall) -> Record {
        let old = self.record().cloned().unwrap_or_default();
        let ours = old.holder == self.config.identity;
        Record {
            holder: self.config.identity.clone(),
            duration: self.config.timing.lease,
            acquired: if ours { old.acquired } else { wall },
            renewed: differs(old.renewed, wall),
            transitions: old
                .transitions
                .saturating_add(u32::from(!ours && self.observed.is_some())),
            pods: self.pods.or(old.pods),
            key: self.key.clone().or(old.key),
            succeeded: old.succeeded,
        }
    }

    /// The record with nobody as its holder.
    fn released(&self, wall: Wall) -> Record {
        let mut record = self.record().cloned().unwrap_or_default();
        record.holder = Arc::from("");
        record.duration = Duration::from_secs(1);
        record.renewed = differs(record.renewed, wall);
        if let Some(key) = &self.success {
            super::claim::remember(&mut record.succeeded, key);
        }
        record
    }

    /// A random share of one.
    fn draw(&mut self) -> f64 {
        // splitmix64
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        (z >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// The wall clock's time, or a little later: a write that changes nothing does not change the version either, and would
/// look like silence.
fn differs(old: Wall, wall: Wall) -> Wall {
    if wall == old {
        Wall(wall.0.saturating_add(1))
    } else {
        wall
    }
}
