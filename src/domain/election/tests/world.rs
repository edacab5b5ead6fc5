//! An API server, clocks that run wrong, a network that loses things, and pauses: for contenders of any kind.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::super::{Action, Event, Record, Version};
use crate::domain::time::{Mono, Now, Wall};

pub(crate) const SECOND: u64 = 1_000_000_000;
const MILLI: u64 = 1_000_000;

/// How long a contender waits for an answer.
const TIMEOUT: u64 = 4 * SECOND;

/// Something that asks for a Lease.
pub(crate) trait Actor {
    fn step(&mut self, event: Event, now: Now) -> Action;
    fn deadline(&self, now: Mono) -> Mono;
}

#[derive(Debug, Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// A contender's clocks: set wrong by any amount, and running wrong by so many millionths.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    pub(crate) offset: u64,
    pub(crate) wrong: i64,
    pub(crate) wall: i64,
}

impl Clock {
    pub(crate) fn mono(&self, at: u64) -> Mono {
        let ran = at as i64 + at as i64 * self.wrong / 1_000_000;
        Mono::from_nanos(self.offset + ran as u64)
    }

    pub(crate) fn now(&self, at: u64) -> Now {
        Now {
            mono: self.mono(at),
            wall: Wall(self.wall + at as i64 / 1000),
        }
    }

    /// The first true instant at which this clock shows `mono` or more; `None`: never.
    pub(crate) fn reaches(&self, mono: Mono) -> Option<u64> {
        if mono == Mono::NEVER {
            return None;
        }
        let ran = mono.as_nanos().saturating_sub(self.offset);
        let mut at = (ran as f64 / (1.0 + self.wrong as f64 / 1e6)) as u64;
        at = at.saturating_sub(2);
        while self.mono(at) < mono {
            at += 1;
        }
        Some(at)
    }
}

/// Compare and swap.
#[derive(Debug, Default)]
pub(crate) struct Server {
    pub(crate) record: Option<(Record, Version)>,
    versions: u64,
    /// When it does not answer.
    pub(crate) outage: (u64, u64),
    pub(crate) writes: u64,
}

impl Server {
    pub(crate) fn apply(&mut self, action: &Action) -> Event {
        match action {
            Action::Nothing => Event::Failed,
            Action::Read => Event::Read(self.record.clone()),
            Action::Create(_) if self.record.is_some() => Event::Conflict,
            Action::Create(record) => self.store(record),
            Action::Update(record, version) => match &self.record {
                Some((_, stored)) if stored == version => self.store(record),
                _ => Event::Conflict,
            },
        }
    }

    fn store(&mut self, record: &Record) -> Event {
        // A write that changes nothing leaves the version as it is, as etcd's does.
        if let Some((stored, version)) = &self.record
            && stored == record
        {
            return Event::Written(version.clone());
        }
        self.versions += 1;
        self.writes += 1;
        let version = Version::from(self.versions.to_string());
        self.record = Some((record.clone(), version.clone()));
        Event::Written(version)
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Wake,
    Arrive(usize),
    Answer(usize),
}

/// When, in which turn of that moment, with whom, in which of its lives, and what.
type Due = (u64, u64, usize, u32, What);

/// A request on its way.
#[derive(Debug)]
struct Request {
    action: Action,
    answer: Option<Event>,
    /// The contender has been told by then, so that the answer goes nowhere.
    done: bool,
    back: u64,
    limit: u64,
}

pub(crate) struct Slot<A> {
    pub(crate) actor: A,
    pub(crate) clock: Clock,
    pub(crate) paused_until: u64,
    /// Which of its lives; what belongs to another one is dropped.
    pub(crate) life: u32,
    pub(crate) dead: bool,
    wake: u64,
}

/// How much goes wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Faults {
    /// In percent of the requests.
    pub(crate) requests: u64,
    /// In percent of the steps.
    pub(crate) pauses: u64,
    /// At most.
    pub(crate) pause: u64,
    /// Nothing goes wrong from then on.
    pub(crate) until: u64,
}

pub(crate) struct World<A> {
    pub(crate) at: u64,
    pub(crate) slots: Vec<Slot<A>>,
    pub(crate) server: Server,
    pub(crate) random: Random,
    pub(crate) faults: Faults,
    requests: Vec<Request>,
    queue: BinaryHeap<Reverse<Due>>,
    turn: u64,
}

impl<A: Actor> World<A> {
    pub(crate) fn new(seed: u64, faults: Faults) -> Self {
        World {
            at: 0,
            slots: Vec::new(),
            server: Server::default(),
            random: Random(seed),
            faults,
            requests: Vec::new(),
            queue: BinaryHeap::new(),
            turn: 0,
        }
    }

    /// A clock set wrong by up to a day and running wrong by up to 1 %.
    pub(crate) fn clock(&mut self) -> Clock {
        Clock {
            offset: self.random.below(1000 * SECOND),
            wrong: self.random.below(20_001) as i64 - 10_000,
            wall: 1_700_000_000_000_000 + self.random.below(86_400_000_000) as i64,
        }
    }

    pub(crate) fn add(&mut self, clock: Clock, actor: A, at: u64) {
        self.slots.push(Slot {
            actor,
            clock,
            paused_until: 0,
            life: 0,
            dead: false,
            wake: at,
        });
        self.put(at, self.slots.len() - 1, What::Wake);
    }

    /// What this contender asked for is not answered any more; `actor` takes its place.
    pub(crate) fn replace(&mut self, slot: usize, actor: A) {
        let one = &mut self.slots[slot];
        one.actor = actor;
        one.life += 1;
        one.dead = false;
        one.paused_until = 0;
        self.schedule(slot);
    }

    fn put(&mut self, at: u64, slot: usize, what: What) {
        self.turn += 1;
        let life = self.slots[slot].life;
        self.queue.push(Reverse((at, self.turn, slot, life, what)));
    }

    /// Runs until `end`, calling `check` after each step with the contender that made it.
    pub(crate) fn run(&mut self, end: u64, mut check: impl FnMut(&mut World<A>, usize)) {
        while let Some(Reverse((at, _, _, _, _))) = self.queue.peek() {
            if *at > end {
                break;
            }
            let Some(Reverse((at, _, slot, life, what))) = self.queue.pop() else {
                break;
            };
            self.at = at;
            let one = &self.slots[slot];
            let gone = one.dead || one.life != life;
            match what {
                What::Arrive(id) => self.arrive(slot, life, id),
                _ if gone => {}
                What::Wake if one.wake != at => {}
                what if one.paused_until > at => {
                    let later = one.paused_until;
                    if what == What::Wake {
                        self.slots[slot].wake = later;
                    }
                    self.put(later, slot, what);
                }
                What::Wake => {
                    self.step(slot, Event::Tick);
                    check(self, slot);
                }
                What::Answer(id) => {
                    let request = &mut self.requests[id];
                    if !std::mem::replace(&mut request.done, true) {
                        let event = request.answer.take().unwrap_or(Event::Failed);
                        self.step(slot, event);
                        check(self, slot);
                    }
                }
            }
        }
        self.at = end;
    }

    fn arrive(&mut self, slot: usize, life: u32, id: usize) {
        let down = (self.server.outage.0..self.server.outage.1).contains(&self.at);
        let request = &mut self.requests[id];
        if down {
            return;
        }
        let answer = self.server.apply(&request.action);
        let (back, limit) = (request.back, request.limit);
        if !request.done && back < limit {
            request.answer = Some(answer);
            let back = back.max(self.at);
            self.turn += 1;
            let answer = (back, self.turn, slot, life, What::Answer(id));
            self.queue.push(Reverse(answer));
        }
    }

    /// Gives a contender an event, and its request to the network.
    pub(crate) fn step(&mut self, slot: usize, event: Event) {
        if self.at < self.faults.until {
            if self.random.chance(self.faults.pauses) {
                let pause = self.random.below(self.faults.pause);
                self.slots[slot].paused_until = self.at + pause;
            }
            if self.random.chance(2) {
                let jump = self.random.below(7_200_000_000) as i64 - 3_600_000_000;
                self.slots[slot].clock.wall += jump;
            }
        }
        let one = &mut self.slots[slot];
        let action = one.actor.step(event, one.clock.now(self.at));
        if action != Action::Nothing {
            self.send(slot, action);
        }
        self.schedule(slot);
    }

    pub(crate) fn schedule(&mut self, slot: usize) {
        let one = &mut self.slots[slot];
        let deadline = one.actor.deadline(one.clock.mono(self.at));
        let Some(wake) = one.clock.reaches(deadline) else {
            one.wake = u64::MAX;
            return;
        };
        let wake = wake.max(self.at);
        if wake != one.wake || wake == self.at {
            one.wake = wake;
            self.put(wake, slot, What::Wake);
        }
    }

    fn send(&mut self, slot: usize, action: Action) {
        let limit = self.at + TIMEOUT;
        let near = MILLI + self.random.below(40 * MILLI);
        let far = MILLI + self.random.below(40 * MILLI);
        let mut arrives = Some(self.at + near);
        let mut back = self.at + near + far;
        if self.at < self.faults.until && self.random.chance(self.faults.requests) {
            match self.random.below(5) {
                // Lost on the way.
                0 => arrives = None,
                // The answer is lost.
                1 => back = u64::MAX,
                // Delivered long after its sender gave up.
                2 => {
                    arrives = Some(limit + self.random.below(20 * SECOND));
                    back = u64::MAX;
                }
                // Slow there, slow back.
                3 => {
                    let there = self.at + self.random.below(5 * SECOND);
                    arrives = Some(there);
                    back = there + self.random.below(3 * SECOND);
                }
                // Refused at once: a 500, or a 429.
                _ => {
                    let id = self.request(action, self.at + far, limit);
                    self.put(self.at + far, slot, What::Answer(id));
                    return;
                }
            }
        }
        let id = self.request(action, back, limit);
        if let Some(arrives) = arrives {
            self.put(arrives, slot, What::Arrive(id));
        }
        self.put(limit, slot, What::Answer(id));
    }

    fn request(&mut self, action: Action, back: u64, limit: u64) -> usize {
        self.requests.push(Request {
            action,
            answer: None,
            done: false,
            back,
            limit,
        });
        self.requests.len() - 1
    }
}
