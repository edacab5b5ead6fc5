//! Ten pods and one migration, while everything goes wrong.

use std::time::Duration;

use super::super::{Claim, Config, Event, News, RunKey, TIMING, Term};
use crate::domain::election::tests::world::{Actor, Faults, Random, SECOND, World};
use crate::domain::election::{self, Action, Timing};
use crate::domain::time::{Mono, Now};

/// A pod: it claims, runs, claims again after a failure, and goes on once the run has succeeded.
struct Pod {
    name: String,
    random: Random,
    timing: Timing,
    claim: Claim,
    run: Option<Run>,
    /// It need not claim any more: it knows that the run succeeded.
    knows: bool,
    again: Mono,
    starts: u32,
    successes: u32,
    unrecorded: u32,
}

#[derive(Clone, Copy)]
struct Run {
    term: Term,
    /// When it ends by itself, and whether well.
    ends: Mono,
    well: bool,
}

impl Pod {
    fn new(name: String, seed: u64, timing: Timing, now: Now) -> Pod {
        let mut random = Random(seed);
        let claim = claim(&name, random.next(), timing, now);
        Pod {
            name,
            random,
            timing,
            claim,
            run: None,
            knows: false,
            again: Mono::NEVER,
            starts: 0,
            successes: 0,
            unrecorded: 0,
        }
    }

    fn told(&mut self, news: Option<&News>, now: Now) {
        match news {
            Some(&News::Granted(term)) if now.mono < term.stop_at => {
                self.starts += 1;
                let lasts = Duration::from_nanos(self.random.below(60 * SECOND));
                self.run = Some(Run {
                    term,
                    ends: now.mono + lasts,
                    well: self.random.chance(60),
                });
            }
            Some(&News::Renewed(term)) => {
                if let Some(run) = &mut self.run {
                    run.term = term;
                }
            }
            // Asked to stop; some do not listen.
            Some(News::Lost) => {
                let listens = self.random.chance(50);
                let takes = Duration::from_nanos(self.random.below(SECOND));
                if let Some(run) = &mut self.run
                    && listens
                    && run.ends > now.mono + takes
                {
                    (run.ends, run.well) = (now.mono + takes, false);
                }
            }
            Some(News::Done) => self.knows = true,
            Some(News::Recorded) if !self.knows => {
                self.again = now.mono + Duration::from_secs(1);
            }
            Some(News::Recorded) => {}
            Some(News::Unrecorded) => self.unrecorded += 1,
            Some(News::Granted(_) | News::Refused(_)) => panic!("{news:?}"),
            None => {}
        }
    }

    /// What the run and the pod do by themselves at this moment.
    fn act(&mut self, now: Now) -> Action {
        if let Some(run) = self.run {
            let ended = now.mono >= run.ends;
            if ended || now.mono >= run.term.kill_at {
                self.run = None;
                let success = ended && run.well;
                self.successes += u32::from(success);
                self.knows |= success;
                let (action, news) = self.claim.step(Event::Ended { success }, now);
                self.told(news.as_ref(), now);
                return action;
            }
        }
        if now.mono >= self.again {
            self.again = Mono::NEVER;
            self.claim = claim(&self.name, self.random.next(), self.timing, now);
        }
        Action::Nothing
    }
}

fn claim(name: &str, seed: u64, timing: Timing, now: Now) -> Claim {
    let config = Config {
        identity: name.into(),
        timing,
        key: RunKey::given("r1"),
        patience: None,
        seed,
    };
    Claim::new(config, now)
}

impl Actor for Pod {
    fn step(&mut self, event: election::Event, now: Now) -> Action {
        let event = match event {
            election::Event::Tick => Event::Tick,
            answer => Event::Answer(answer),
        };
        let (action, news) = self.claim.step(event, now);
        self.told(news.as_ref(), now);
        match self.act(now) {
            Action::Nothing => action,
            // Only one request is on its way at a time.
            other => {
                assert_eq!(action, Action::Nothing);
                other
            }
        }
    }

    fn deadline(&self, now: Mono) -> Mono {
        let own = self
            .run
            .map_or(Mono::NEVER, |run| run.ends.min(run.term.kill_at));
        self.claim.deadline(now).min(own).min(self.again)
    }
}

/// No two runs at this moment; a pod that is dead runs nothing, one that is paused does not know that its run ended.
fn one_run_at_most(world: &World<Pod>, seed: u64) {
    let running: Vec<&str> = world
        .slots
        .iter()
        .filter(|slot| {
            let now = slot.clock.mono(world.at);
            !slot.dead && slot.actor.run.is_some_and(|run| now < run.ends)
        })
        .map(|slot| &*slot.actor.name)
        .collect();
    assert!(
        running.len() <= 1,
        "seed {seed}: {running:?} run at {} s",
        world.at as f64 / SECOND as f64
    );
}

#[derive(Default)]
struct Sum {
    starts: u32,
    successes: u32,
    unrecorded: u32,
    slowest: u64,
}

fn live(seed: u64, pods: usize, sum: &mut Sum) {
    // The server answers; only pods die, in the middle of the run.
    let quiet = seed.is_multiple_of(5);
    // A quarter of the real times, so that more happens.
    let timing = Timing {
        lease: TIMING.lease / 4,
        renew: TIMING.renew / 4,
        retry: TIMING.retry / 4,
    };
    let calm = 100 * SECOND;
    let faults = Faults {
        requests: if quiet { 0 } else { 15 },
        pauses: 2,
        // Less than from the KILL to the end of the lease: 30 s - 25 s, 1 % drift.
        pause: 4 * SECOND,
        until: calm - 5 * SECOND,
    };
    let mut world = World::new(seed, faults);
    for name in 0..pods {
        let clock = world.clock();
        let start = world.random.below(5 * SECOND);
        let seed = world.random.next();
        let pod = Pod::new(format!("pod-{name}"), seed, timing, clock.now(start));
        world.add(clock, pod, start);
    }
    let mut random = Random(seed ^ 0x5EED);
    if !quiet && random.chance(60) {
        let from = random.below(30 * SECOND);
        world.server.outage = (from, from + random.below(60 * SECOND));
    }
    let check = |world: &mut World<Pod>, _| one_run_at_most(world, seed);
    let (mut starts, mut successes, mut unrecorded) = (0, 0, 0);
    for round in 0..4 {
        let until = world.at + random.below(20 * SECOND);
        world.run(until, check);
        // The claimant dies: for good, or its container is restarted.
        let mut victim = world.slots.iter().position(|slot| slot.actor.run.is_some());
        if !quiet && random.chance(20) {
            victim = Some(random.below(pods as u64) as usize);
        }
        if let (Some(slot), true) = (victim, random.chance(50)) {
            let old = &world.slots[slot].actor;
            let name = if random.chance(50) {
                old.name.clone()
            } else {
                format!("pod-{}", 1000 + round)
            };
            starts += old.starts;
            successes += old.successes;
            unrecorded += old.unrecorded;
            let now = world.slots[slot].clock.now(world.at);
            world.replace(slot, Pod::new(name, random.next(), timing, now));
        }
    }
    world.run(calm, check);
    let mut knew = 0;
    world.run(calm + 1500 * SECOND, |world, slot| {
        one_run_at_most(world, seed);
        if world.slots[slot].actor.knows {
            knew = world.at;
        }
    });
    for slot in &world.slots {
        let pod = &slot.actor;
        assert!(
            pod.knows,
            "seed {seed}: {} never learns of a success",
            pod.name
        );
        assert!(pod.run.is_none());
        starts += pod.starts;
        successes += pod.successes;
        unrecorded += pod.unrecorded;
    }
    let (record, _) = world.server.record.as_ref().unwrap();
    assert_eq!(record.succeeded, [RunKey::given("r1").id], "seed {seed}");
    // One is written, whatever happens. Another one happened only where the first could not be written in time.
    assert!(successes >= 1, "seed {seed}");
    assert!(
        !quiet || (successes, unrecorded) == (1, 0),
        "seed {seed}: {successes}"
    );
    sum.starts += starts;
    sum.successes += successes;
    sum.unrecorded += unrecorded;
    sum.slowest = sum.slowest.max(knew);
}

#[test]
fn one_pod_runs_it_at_a_time_and_all_learn_of_its_success() {
    let mut sum = Sum::default();
    let runs = 12_000;
    for seed in 0..runs {
        live(seed, if seed.is_multiple_of(4) { 2 } else { 10 }, &mut sum);
    }
    let runs = runs as u32;
    assert!(sum.starts > runs * 3 / 2, "{} starts", sum.starts);
    assert!(sum.successes >= runs);
    // The window is real, and small.
    assert!(
        (1..runs / 20).contains(&sum.unrecorded),
        "{} unrecorded",
        sum.unrecorded
    );
}
