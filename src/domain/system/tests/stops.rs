//! Random pods that stop: what DESIGN calls the budget must hold, whatever the graph, the times and the deaths. Each check
//! is written out from the rule, not from the code.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::world::{Behaviour, World, hook, secs, service, set};
use crate::domain::event::Event;
use crate::domain::plan::{Condition, FailurePolicy, InstanceHooks, Process, SetHooks};
use crate::domain::shutdown::deadline::Deadlines;
use crate::domain::shutdown::report::StopReport;
use crate::domain::signal::Signal;
use crate::domain::time::Mono;

/// The stop begins then.
const T0: f64 = 100.0;
const TAIL: Duration = Duration::from_secs(1);

/// Times in milliseconds.
#[derive(Debug, Clone)]
struct Member {
    after: Vec<prop::sample::Index>,
    serves: bool,
    grace: Option<u64>,
    /// Its preStop hook: timeout, and how long it takes; `None`: it hangs.
    hook: Option<(u64, Option<u64>)>,
    stops_in: Option<u64>,
    /// Ends by itself so long after t0.
    dies: Option<u64>,
    /// Its exec takes for ever.
    hangs: bool,
}

#[derive(Debug, Clone)]
struct Pod {
    members: Vec<Member>,
    hooks: Vec<(u64, Option<u64>)>,
    drain: u64,
    /// G.
    grace: u64,
    /// So long after t0 it is known that the pod ends so long after t0.
    deadlines: Vec<(u64, u64)>,
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn after(time: Duration) -> Mono {
    Mono::ZERO + secs(T0) + time
}

fn hook_times() -> impl Strategy<Value = (u64, Option<u64>)> {
    (1000u64..20_000, prop::option::weighted(0.6, 0u64..20_000))
}

fn member() -> impl Strategy<Value = Member> {
    (
        prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        any::<bool>(),
        prop::option::of(0u64..30_000),
        prop::option::weighted(0.3, hook_times()),
        prop::option::weighted(0.6, 0u64..20_000),
        prop::option::weighted(0.2, 0u64..20_000),
        prop::bool::weighted(0.03),
    )
        .prop_map(
            |(after, serves, grace, hook, stops_in, dies, hangs)| Member {
                after,
                serves,
                grace,
                hook,
                stops_in,
                dies,
                hangs,
            },
        )
}

fn pod() -> impl Strategy<Value = Pod> {
    (
        prop::collection::vec(member(), 1..9),
        prop::collection::vec(hook_times(), 0..3),
        prop_oneof![Just(0u64), 0u64..15_000],
        prop_oneof![4 => 0u64..70, 1 => 0u64..4],
        prop_oneof![
            3 => Just(Vec::new()),
            1 => prop::collection::vec((0u64..40_000, 0u64..60_000), 1..4)
        ],
    )
        .prop_map(|(members, hooks, drain, grace, deadlines)| Pod {
            members,
            hooks,
            drain,
            grace: grace * 1000,
            deadlines,
        })
}

fn name(at: usize) -> String {
    format!("p{at}")
}

fn taking(time: Option<u64>) -> Behaviour {
    Behaviour {
        life: time.map(|time| (ms(time), 0)),
        stops_in: None,
        ..Behaviour::default()
    }
}

impl Pod {
    /// On whom a member depends: earlier ones, and nobody who serves on one who does not.
    fn dependencies(&self, at: usize) -> Vec<usize> {
        let mut on: Vec<usize> = Vec::new();
        for index in &self.members[at].after {
            let other = if at == 0 { continue } else { index.index(at) };
            let allowed = self.members[other].serves || !self.members[at].serves;
            if allowed && !on.contains(&other) {
                on.push(other);
            }
        }
        on
    }

    fn dependents(&self, of: usize) -> Vec<usize> {
        (of + 1..self.members.len())
            .filter(|at| self.dependencies(*at).contains(&of))
            .collect()
    }

    fn process(&self, at: usize) -> Process {
        let member = &self.members[at];
        let mut process = service(&name(at));
        if !member.serves {
            process = process.background();
        }
        if let Some(grace) = member.grace {
            process.stop.grace = Some(ms(grace));
        }
        if let Some((timeout, _)) = member.hook {
            let hooks = InstanceHooks {
                pre_stop: Some(hook(
                    &name(at),
                    timeout as f64 / 1000.0,
                    FailurePolicy::Continue,
                )),
                ..InstanceHooks::default()
            };
            process = process.with_hooks(&hooks);
        }
        for on in self.dependencies(at) {
            process = process.after(&name(on), Condition::Started);
        }
        process
    }

    fn live(&self) -> World {
        let processes = (0..self.members.len()).map(|at| self.process(at)).collect();
        let pre_stop = self.hooks.iter().enumerate().map(|(at, (timeout, _))| {
            hook(
                &format!("s{at}"),
                *timeout as f64 / 1000.0,
                FailurePolicy::Continue,
            )
        });
        let hooks = SetHooks {
            pre_stop: pre_stop.collect(),
            ..SetHooks::default()
        };
        let set = set(processes)
            .grace(self.grace as f64 / 1000.0)
            .drain(self.drain as f64 / 1000.0)
            .hooks(hooks);
        let mut world = set.world().quiet();
        for (at, member) in self.members.iter().enumerate() {
            let behaviour = Behaviour {
                stops_in: member.stops_in.map(ms),
                life: member.dies.map(|time| (secs(T0) + ms(time), 0)),
                exec_after: secs(if member.hangs { 1e5 } else { 0.0 }),
                ..Behaviour::default()
            };
            world = world.child(&name(at), behaviour);
            if let Some((_, takes)) = member.hook {
                world = world.child(&format!("hook-{}", name(at)), taking(takes));
            }
        }
        for (at, (_, takes)) in self.hooks.iter().enumerate() {
            world = world.child(&format!("hook-s{at}"), taking(*takes));
        }
        world.signal(T0, Signal::TERM);
        for (at, end) in &self.deadlines {
            let end = after(ms(*end));
            world.at(T0 + *at as f64 / 1000.0, Event::DeadlineKnown { end });
        }
        world.run_until(1e6);
        world
    }

    /// No order, no drain, no hooks.
    fn at_once(&self) -> bool {
        self.grace <= 2000
    }

    /// By when everything must be dead, as it was known from t0 on and after each deadline that was told before the end:
    /// since when, and what.
    fn t_kills(&self, ended: Mono) -> Vec<(Mono, Mono)> {
        let t0 = after(Duration::ZERO);
        let of = |grace| Deadlines::new(t0, grace, TAIL, Duration::ZERO).t_kill;
        let mut told = self.deadlines.clone();
        told.sort_unstable();
        let mut t_kill = of(ms(self.grace));
        let mut known = vec![(t0, t_kill)];
        for (at, end) in told {
            let at = after(ms(at));
            if at <= ended && at < t_kill {
                t_kill = t_kill.min(of(ms(end))).max(at);
                known.push((at, t_kill));
            }
        }
        known
    }

    /// Stages with a claim on the longest chain, as they are at t0.
    fn longest(&self) -> u64 {
        let hooks = self.hooks.len() as u64;
        let mut behind: BTreeMap<usize, u64> = BTreeMap::new();
        for at in (0..self.members.len()).rev() {
            let member = &self.members[at];
            let stages = u64::from(member.hook.is_some()) + u64::from(member.grace != Some(0));
            let drained = u64::from(member.serves && self.drain > 0);
            let before = self.dependents(at).iter().map(|on| behind[on]).max();
            behind.insert(at, stages + before.unwrap_or(0).max(hooks).max(drained));
        }
        behind.values().copied().max().unwrap_or(0).max(1)
    }
}

/// A life with what is asked of it.
struct Life<'a> {
    pod: &'a Pod,
    world: &'a World,
    report: &'a StopReport,
    t_kill: Mono,
    /// What each stage was promised at least, by the shortest budget that it was ever planned with.
    floor: Duration,
}

fn near(a: Mono, b: Mono) -> bool {
    a.since(b).max(b.since(a)) <= Duration::from_micros(2)
}

impl Life<'_> {
    fn time_of(times: &BTreeMap<String, Mono>, name: &str) -> Option<Mono> {
        times
            .get(name)
            .copied()
            .filter(|at| *at >= after(Duration::ZERO))
    }

    fn signalled(&self, at: usize) -> Option<Mono> {
        Self::time_of(&self.world.seen.signalled, &format!("{}-0", name(at)))
    }

    fn killed(&self, at: usize) -> Option<Mono> {
        Self::time_of(&self.world.seen.killed, &format!("{}-0", name(at)))
    }

    /// Dead, or sent KILL: nobody waits for it any more.
    fn gone(&self, at: usize) -> Mono {
        if !self
            .world
            .seen
            .spawned
            .contains_key(&format!("{}-0", name(at)))
        {
            return after(Duration::ZERO);
        }
        let died = Self::time_of(&self.world.seen.died, &format!("{}-0", name(at)));
        let died = died.expect("everything dies");
        self.killed(at).map_or(died, |killed| killed.min(died))
    }

    fn hook_ended(&self, hook: &str) -> Option<Mono> {
        let died = Self::time_of(&self.world.seen.died, hook);
        let killed = Self::time_of(&self.world.seen.killed, hook);
        died.into_iter().chain(killed).min()
    }

    /// When the turn of a member comes: everything before it is done or cut.
    fn turn(&self, at: usize) -> Mono {
        let mut turn = after(Duration::ZERO);
        for (hook, _) in self.pod.hooks.iter().enumerate() {
            turn = turn.max(self.hook_ended(&format!("hook-s{hook}")).unwrap_or(turn));
        }
        for dependent in self.pod.dependents(at) {
            turn = turn.max(self.gone(dependent));
        }
        if self.pod.members[at].serves
            && let Some(drain) = self.report.drain
        {
            turn = turn.max(after(drain.took));
        }
        turn
    }

    fn check(&self) -> Result<(), TestCaseError> {
        for at in 0..self.pod.members.len() {
            self.check_end(at)?;
            if self.pod.at_once() {
                self.check_at_once(at)?;
            } else {
                self.check_turn(at)?;
            }
            self.check_share(at)?;
        }
        self.check_set_hooks()?;
        let by_deadline = self.report.instances.iter().any(|one| one.by_deadline);
        prop_assert_eq!(self.report.code == 124, by_deadline, "{}", self.report.code);
        if let Some(drain) = self.report.drain {
            let whole = !self.report.claims_cut && !self.report.shortened;
            prop_assert!(drain.took <= drain.planned);
            prop_assert!(!whole || drain.took == drain.planned || self.nobody_serves(drain.took));
        }
        Ok(())
    }

    fn nobody_serves(&self, at: Duration) -> bool {
        let members = self.pod.members.iter().enumerate();
        let mut serving = members.filter(|(_, member)| member.serves);
        serving.all(|(one, _)| self.gone(one) <= after(at))
    }

    /// Dead by T_kill, asked before it is killed, and killed by nobody but us.
    fn check_end(&self, at: usize) -> Result<(), TestCaseError> {
        prop_assert!(self.gone(at) <= self.t_kill, "p{at} lives too long");
        if let Some(killed) = self.killed(at) {
            let signalled = self.signalled(at);
            prop_assert!(
                self.pod.members[at].hangs || signalled.is_some_and(|at| at <= killed),
                "p{at} was killed unasked"
            );
        }
        Ok(())
    }

    fn check_at_once(&self, at: usize) -> Result<(), TestCaseError> {
        let t0 = after(Duration::ZERO);
        if self.gone(at) > t0 && !self.pod.members[at].hangs {
            prop_assert_eq!(self.signalled(at), Some(t0), "p{} waits", at);
        }
        Ok(())
    }

    /// Nobody is asked before its turn, and nobody waits once it has come.
    fn check_turn(&self, at: usize) -> Result<(), TestCaseError> {
        let turn = self.turn(at);
        // Its preStop hook is a stage too.
        if let Some(began) = self.began(&format!("hook-{}", name(at))) {
            prop_assert!(
                near(began, turn),
                "the hook of p{at} begins at {began:?}, its turn is at {turn:?}"
            );
        }
        let Some(signalled) = self.signalled(at) else {
            return Ok(());
        };
        // At T_kill everybody is asked, and killed.
        if near(signalled, self.t_kill) {
            return Ok(());
        }
        let hook = self.hook_ended(&format!("hook-{}", name(at)));
        prop_assert!(
            signalled >= turn,
            "p{at} is asked at {signalled:?}, before {turn:?}"
        );
        let asked = hook.unwrap_or(turn);
        prop_assert!(
            near(signalled, asked),
            "p{at} idles from {asked:?} to {signalled:?}"
        );
        Ok(())
    }

    /// Everybody has some time between its signal and its KILL, and all of an explicit grace if that fits.
    fn check_share(&self, at: usize) -> Result<(), TestCaseError> {
        let (Some(signalled), Some(killed)) = (self.signalled(at), self.killed(at)) else {
            return Ok(());
        };
        let got = killed.since(signalled);
        let grace = self.pod.members[at].grace.map(ms);
        if self.pod.at_once() {
            let whole = self.t_kill.since(after(Duration::ZERO));
            let want = grace.map_or(whole, |grace| grace.min(whole));
            prop_assert!(got + ms(1) >= want, "p{at} got {got:?} of {want:?}");
            return Ok(());
        }
        let least = self.floor.min(grace.unwrap_or(ms(500)));
        prop_assert!(
            got + ms(1) >= least,
            "p{at} got {got:?}, less than {least:?}"
        );
        if let (Some(grace), false) = (grace, self.report.claims_cut) {
            prop_assert!(
                near(killed, signalled + grace),
                "p{at} got {got:?} of {grace:?}"
            );
        }
        Ok(())
    }
}

impl Life<'_> {
    fn began(&self, hook: &str) -> Option<Mono> {
        self.world.seen.began.get(hook).copied()
    }

    /// One after the other, from t0 on, and none is cut that would fit.
    fn check_set_hooks(&self) -> Result<(), TestCaseError> {
        let mut before = after(Duration::ZERO);
        for (at, (timeout, _)) in self.pod.hooks.iter().enumerate() {
            let hook = format!("hook-s{at}");
            let Some(began) = self.began(&hook) else {
                continue;
            };
            prop_assert!(!self.pod.at_once(), "there is no time for {hook}");
            prop_assert!(
                near(began, before),
                "{hook} begins at {began:?}, not {before:?}"
            );
            before = self.hook_ended(&hook).unwrap_or(before);
            let fits = !self.report.claims_cut && before < self.t_kill;
            if let (Some(killed), true) = (Self::time_of(&self.world.seen.killed, &hook), fits) {
                prop_assert!(near(killed, began + ms(*timeout)), "{hook} is cut");
            }
        }
        Ok(())
    }
}

fn check(pod: &Pod) -> Result<(), TestCaseError> {
    let world = pod.live();
    prop_assert!(world.outcome.is_some(), "no end");
    let report = world
        .outcome
        .as_ref()
        .and_then(|outcome| outcome.report.as_deref());
    let Some(report) = report else {
        return Err(TestCaseError::fail("no report"));
    };
    prop_assert_eq!(world.seen.lengthened, 0, "a deadline became a later one");
    prop_assert_eq!(world.seen.spawned_in_stop, 0, "started in a stop");
    let shrunk = |(_, end): &(u64, u64)| after(ms(*end));
    let end = (pod.deadlines.iter().map(shrunk)).fold(after(ms(pod.grace)), Mono::min);
    let latest = (pod.deadlines.iter()).map(|(at, _)| after(ms(*at))).max();
    let end = end.max(latest.unwrap_or(Mono::ZERO));
    prop_assert!(world.now <= end, "over at {:?}, not by {end:?}", world.now);
    let known = pod.t_kills(world.now);
    let longest = pod.longest() as u32;
    let floors = (known.iter()).map(|(since, t_kill)| t_kill.since(*since) / longest);
    let life = Life {
        pod,
        world: &world,
        report,
        t_kill: known.last().map_or(Mono::ZERO, |(_, t_kill)| *t_kill),
        floor: floors.fold(ms(500), Duration::min),
    };
    life.check()
}

/// Half of them each, so that two cores share them.
const PODS: u32 = 50_000;

proptest! {
    #![proptest_config(ProptestConfig { cases: PODS, ..ProptestConfig::default() })]

    #[test]
    fn fifty_thousand_pods_stop_inside_their_budget(pod in pod()) {
        check(&pod)?;
    }

    #[test]
    fn fifty_thousand_more_pods_stop_inside_their_budget(pod in pod()) {
        check(&pod)?;
    }
}
