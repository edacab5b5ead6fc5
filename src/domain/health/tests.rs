//! The kubelet's meaning of each field of each probe, on a paused clock (k8s.io/kubernetes pkg/kubelet/prober/worker.go).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::domain::effect::Effect;
use crate::domain::exit::{SpawnFailure, SpawnStep};
use crate::domain::plan::{Check, Probe, Request};
use crate::domain::system::context::{Owner, Shared};
use crate::domain::time::{Now, Wall};

/// A server that answers as told, a probe of it, and a clock that jumps.
struct Rig {
    shared: Shared,
    now: Mono,
    health: Health,
    /// When each check began, in seconds.
    asked: Vec<f64>,
    verdicts: Vec<(f64, Verdict)>,
    flying: Vec<(Mono, RunId)>,
    passes: BTreeMap<RunId, bool>,
}

/// What the n-th check answers, and after how long; `None`: never.
type Server = Rc<RefCell<dyn FnMut(usize) -> Option<(f64, bool)>>>;

fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn probe() -> Probe {
    Probe {
        check: Check::Request(Arc::new(Request::Tcp {
            host: "127.0.0.1".to_owned(),
            port: 1,
        })),
        initial_delay: secs(0.0),
        timeout: secs(1.0),
        period: secs(10.0),
        success_threshold: 1,
        failure_threshold: 3,
        grace: None,
    }
}

fn only(kind: ProbeKind, probe: Probe) -> Probes {
    let mut probes = Probes::default();
    let place = match kind {
        ProbeKind::Startup => &mut probes.startup,
        ProbeKind::Liveness => &mut probes.liveness,
        ProbeKind::Readiness => &mut probes.readiness,
    };
    *place = Some(Arc::new(probe));
    probes
}

fn answers(script: &'static [Option<(f64, bool)>]) -> Server {
    let last = *script.last().unwrap();
    Rc::new(RefCell::new(move |nth: usize| {
        script.get(nth).copied().unwrap_or(last)
    }))
}

const OK: Option<(f64, bool)> = Some((0.0, true));
const BAD: Option<(f64, bool)> = Some((0.0, false));

impl Rig {
    fn new(probes: &Probes) -> Rig {
        Rig::held(probes, false)
    }

    fn held(probes: &Probes, held: bool) -> Rig {
        let mut shared = Shared::new(0);
        let now = Mono::ZERO + secs(100.0);
        let cx = Context {
            now: Now {
                mono: now,
                wall: Wall(0),
            },
            owner: Owner::Unit(0),
            shared: &mut shared,
        };
        let health = Health::begin(probes, held, &cx);
        Rig {
            shared,
            now,
            health,
            asked: Vec::new(),
            verdicts: Vec::new(),
            flying: Vec::new(),
            passes: BTreeMap::new(),
        }
    }

    fn seconds(&self) -> f64 {
        self.now.as_nanos() as f64 / 1e9 - 100.0
    }

    fn step(&mut self, step: impl FnOnce(&mut Health, &mut Context<'_>) -> Verdict) {
        let mut cx = Context {
            now: Now {
                mono: self.now,
                wall: Wall(0),
            },
            owner: Owner::Unit(0),
            shared: &mut self.shared,
        };
        let verdict = step(&mut self.health, &mut cx);
        if verdict != Verdict::Same {
            self.verdicts.push((self.seconds(), verdict));
        }
    }

    fn notify(&mut self, seconds: f64, message: &str) {
        self.run(seconds, &answers(&[None]));
        self.step(|health, cx| health.notified(message, cx));
    }

    fn run(&mut self, until: f64, server: &Server) -> &mut Rig {
        let until = Mono::ZERO + secs(100.0 + until);
        loop {
            let answer = self.flying.iter().copied().min();
            let due = self.health.deadline();
            let next = answer.map_or(due, |(at, _)| at.min(due));
            if next > until {
                self.now = until;
                return self;
            }
            self.now = next.max(self.now);
            match answer {
                Some((at, run)) if at <= due => {
                    self.flying.retain(|(_, other)| *other != run);
                    let passed = self.passes.remove(&run).unwrap_or(true);
                    let result = if passed {
                        Ok(())
                    } else {
                        Err("refused".to_owned())
                    };
                    self.step(|health, cx| health.answer(run, Answer::Responded(result), cx));
                }
                _ => self.step(Health::tick),
            }
            for effect in std::mem::take(&mut self.shared.outbox.effects) {
                let (Effect::Request { run, .. } | Effect::Spawn { run, .. }) = effect else {
                    continue;
                };
                let nth = self.asked.len();
                self.asked.push(self.seconds());
                if let Some((after, passed)) = server.borrow_mut()(nth) {
                    self.passes.insert(run, passed);
                    self.flying.push((self.now + secs(after), run));
                }
            }
        }
    }
}

fn life(kind: ProbeKind, probe: Probe, until: f64, server: &Server) -> Rig {
    let mut rig = Rig::new(&only(kind, probe));
    rig.run(until, server);
    rig
}

fn ups_and_downs(rig: &Rig) -> Vec<f64> {
    let changed = rig
        .verdicts
        .iter()
        .filter(|(_, verdict)| *verdict == Verdict::Changed);
    changed.map(|(at, _)| *at).collect()
}

fn killed_at(rig: &Rig) -> Option<f64> {
    let unhealthy = |verdict: &Verdict| matches!(verdict, Verdict::Unhealthy(_));
    rig.verdicts
        .iter()
        .find(|(_, one)| unhealthy(one))
        .map(|(at, _)| *at)
}

use ProbeKind::{Liveness, Readiness, Startup};

#[test]
fn initial_delay_and_period() {
    for kind in [Startup, Liveness, Readiness] {
        let mut probe = probe();
        probe.initial_delay = secs(7.0);
        probe.period = secs(3.0);
        let rig = life(kind, probe, 17.0, &answers(&[OK]));
        let want: &[f64] = match kind {
            // A startup probe that passed asks no more.
            Startup => &[7.0],
            Liveness | Readiness => &[7.0, 10.0, 13.0, 16.0],
        };
        assert_eq!(rig.asked, want, "{kind:?}");
    }
}

#[test]
fn a_check_that_outlasts_its_period_is_followed_by_the_next_at_once_and_then_on_time() {
    let mut probe = probe();
    probe.timeout = secs(100.0);
    probe.period = secs(2.0);
    let server = answers(&[Some((5.0, true)), OK]);
    let rig = life(Readiness, probe, 9.0, &server);
    // A ticker has one tick in store: due at 2, 4, 6, 8; the check of 0 ends at 5.
    assert_eq!(rig.asked, [0.0, 5.0, 6.0, 8.0]);
}

#[test]
fn timeout() {
    let mut probe = probe();
    probe.timeout = secs(2.0);
    probe.failure_threshold = 2;
    let rig = life(
        Liveness,
        probe,
        60.0,
        &answers(&[Some((1.9, true)), Some((2.1, true))]),
    );
    assert_eq!(rig.asked, [0.0, 10.0, 20.0]);
    assert_eq!(killed_at(&rig), Some(22.0));
    let (why, times) = rig.health.failure(Liveness);
    assert_eq!((&*why, times), ("no answer in 2.0s", 2));
}

#[test]
fn a_command_that_there_was_no_room_for_counts_for_nothing() {
    for (step, is_killed) in [
        (SpawnStep::Pipe, false),
        (SpawnStep::Fork, false),
        (SpawnStep::Exec, true),
    ] {
        let mut probe = probe();
        probe.failure_threshold = 2;
        let mut rig = Rig::new(&only(Liveness, probe));
        for nth in 0..4 {
            rig.run(f64::from(nth) * 10.0, &answers(&[Some((5.0, true))]));
            let Some((_, run)) = rig.flying.pop() else {
                break;
            };
            let failure = SpawnFailure { step, errno: 24 };
            rig.step(|health, cx| health.answer(run, Answer::SpawnFailed(failure), cx));
        }
        assert_eq!(killed_at(&rig).is_some(), is_killed, "{step:?}");
        let failing = |(_, verdict): &&(f64, Verdict)| matches!(verdict, Verdict::Failing(..));
        assert_eq!(rig.verdicts.iter().filter(failing).count(), 1, "{step:?}");
    }
}

#[test]
fn failure_threshold_counts_failures_in_a_row() {
    for (kind, threshold, script, at) in [
        (Liveness, 3, &[BAD] as &[_], Some(20.0)),
        (Liveness, 1, &[BAD], Some(0.0)),
        (Liveness, 3, &[BAD, BAD, OK, BAD, BAD, BAD], Some(50.0)),
        (Startup, 3, &[BAD], Some(20.0)),
        (Startup, 3, &[BAD, BAD, OK, BAD, BAD, BAD], None),
        (Readiness, 3, &[BAD], None),
    ] {
        let mut probe = probe();
        probe.failure_threshold = threshold;
        let script: &'static [_] = Box::leak(script.to_vec().into_boxed_slice());
        let rig = life(kind, probe, 1000.0, &answers(script));
        assert_eq!(killed_at(&rig), at, "{kind:?} {threshold} {script:?}");
    }
}

#[test]
fn isolated_failures_for_ever_never_restart() {
    for kind in [Liveness, Readiness] {
        let server: Server = Rc::new(RefCell::new(
            |nth: usize| if nth % 3 == 2 { OK } else { BAD },
        ));
        let mut probe = probe();
        probe.period = secs(1.0);
        let rig = life(kind, probe, 100_000.0, &server);
        assert_eq!(killed_at(&rig), None);
        assert!(rig.asked.len() > 99_999);
    }
}

#[test]
fn readiness_begins_unready_and_never_restarts() {
    let mut probe = probe();
    probe.success_threshold = 2;
    probe.failure_threshold = 2;
    let server = answers(&[BAD, OK, BAD, OK, OK, BAD, OK, BAD, BAD, BAD, OK, OK]);
    let mut rig = Rig::new(&only(Readiness, probe));
    assert!(!rig.health.is_ready() && rig.health.is_started());
    rig.run(1000.0, &server);
    // Ready at the second success in a row, unready at the second failure in a row.
    assert_eq!(ups_and_downs(&rig), [40.0, 80.0, 110.0]);
    assert!(rig.health.is_ready());
}

#[test]
fn liveness_begins_alive_and_asks_no_more_once_it_failed() {
    let rig = life(Liveness, probe(), 1000.0, &answers(&[BAD]));
    assert!(rig.health.is_ready(), "liveness does not decide readiness");
    assert_eq!(rig.asked, [0.0, 10.0, 20.0]);
}

#[test]
fn nothing_is_asked_while_the_post_start_hook_runs_and_delays_count_from_the_start_of_the_run() {
    let mut liveness = probe();
    liveness.initial_delay = secs(35.0);
    let probes = Probes {
        startup: Some(Arc::new(probe())),
        liveness: Some(Arc::new(liveness)),
        readiness: Some(Arc::new(probe())),
    };
    let mut rig = Rig::held(&probes, true);
    rig.run(25.0, &answers(&[OK]));
    assert!(rig.asked.is_empty() && !rig.health.is_started());
    rig.step(|health, cx| {
        health.release(cx.now.mono);
        Verdict::Same
    });
    rig.run(45.0, &answers(&[OK]));
    // Startup and readiness at 25; liveness at 35 and 45, readiness at 35 and 45.
    assert_eq!(rig.asked, [25.0, 25.0, 35.0, 35.0, 45.0, 45.0]);
    // What the process says counts all the same; the others still wait.
    let probes = Probes {
        startup: Some(Arc::new(notify(Startup))),
        liveness: Some(Arc::new(probe())),
        readiness: None,
    };
    let mut rig = Rig::held(&probes, true);
    rig.notify(5.0, "READY=1");
    assert!(rig.health.is_started());
    rig.run(25.0, &answers(&[OK]));
    assert!(rig.asked.is_empty());
    rig.step(|health, cx| {
        health.release(cx.now.mono);
        Verdict::Same
    });
    rig.run(35.0, &answers(&[OK]));
    assert_eq!(rig.asked, [25.0, 35.0]);
}

#[test]
fn a_new_probe_waits_for_the_post_start_hook_too() {
    let mut rig = Rig::held(&Probes::default(), true);
    let probes = Probes {
        startup: None,
        liveness: Some(Arc::new(probe())),
        readiness: Some(Arc::new(probe())),
    };
    rig.step(|health, cx| {
        health.renew(&probes, cx);
        Verdict::Same
    });
    rig.run(25.0, &answers(&[OK]));
    assert!(rig.asked.is_empty());
    rig.step(|health, cx| {
        health.release(cx.now.mono);
        Verdict::Same
    });
    rig.run(25.0, &answers(&[OK]));
    assert_eq!(rig.asked, [25.0, 25.0]);
}

#[test]
fn startup_gates_the_other_two() {
    let mut liveness = probe();
    liveness.initial_delay = secs(5.0);
    let mut readiness = probe();
    readiness.initial_delay = secs(45.0);
    let probes = Probes {
        startup: Some(Arc::new(probe())),
        liveness: Some(Arc::new(liveness)),
        readiness: Some(Arc::new(readiness)),
    };
    let mut rig = Rig::new(&probes);
    assert!(!rig.health.is_started());
    rig.run(60.0, &answers(&[BAD, BAD, OK]));
    // Startup at 0, 10, 20; liveness from 20 on, its delay is over; readiness at 45 and 55.
    assert_eq!(
        rig.asked,
        [0.0, 10.0, 20.0, 20.0, 30.0, 40.0, 45.0, 50.0, 55.0, 60.0]
    );
    assert_eq!(ups_and_downs(&rig), [20.0, 45.0]);
    assert!(rig.health.is_ready());
}

#[test]
fn a_first_probe_that_fails_and_then_heals_is_ready_within_a_period() {
    let rig = life(Readiness, probe(), 30.0, &answers(&[BAD, OK]));
    assert_eq!(ups_and_downs(&rig), [10.0]);
    let failing = Verdict::Failing(Readiness, "refused".into());
    assert_eq!(rig.verdicts[0], (0.0, failing));
}

#[test]
fn why_it_is_not_ready_is_said_also_when_one_failure_counts() {
    let mut probe = probe();
    probe.failure_threshold = 1;
    let rig = life(Readiness, probe, 50.0, &answers(&[BAD, BAD, OK, BAD, OK]));
    let failing = Verdict::Failing(Readiness, "refused".into());
    // Once; then it becomes ready, unready and ready.
    let changed = Verdict::Changed;
    let expected = [
        (0.0, failing),
        (20.0, changed.clone()),
        (30.0, changed.clone()),
        (40.0, changed),
    ];
    assert_eq!(rig.verdicts, expected);
}

#[test]
fn an_answer_of_another_check_counts_for_nothing() {
    let mut rig = Rig::new(&only(Readiness, probe()));
    rig.run(0.0, &answers(&[None]));
    rig.step(|health, cx| health.answer(RunId(999), Answer::Responded(Ok(())), cx));
    assert!(!rig.health.is_ready());
}

#[test]
fn after_the_cut_nothing_is_asked_and_the_result_stays() {
    let mut rig = life(Readiness, probe(), 5.0, &answers(&[OK]));
    rig.step(|health, cx| {
        health.cut(cx);
        Verdict::Same
    });
    rig.run(1000.0, &answers(&[BAD]));
    assert_eq!(rig.asked, [0.0]);
    assert!(rig.health.is_ready());
}

fn notify(kind: ProbeKind) -> Probe {
    let _ = kind;
    Probe {
        check: Check::Notify,
        ..probe()
    }
}

#[test]
fn a_process_says_when_it_is_ready() {
    let probes = Probes {
        startup: Some(Arc::new(notify(Startup))),
        readiness: Some(Arc::new(notify(Readiness))),
        liveness: None,
    };
    let mut rig = Rig::new(&probes);
    rig.notify(3.0, "STATUS=Warming up");
    assert!(!rig.health.is_started());
    rig.notify(5.0, "READY=1\nSTATUS=Serving");
    assert!(rig.health.is_ready());
    assert_eq!(rig.health.message().as_deref(), Some("Serving"));
    rig.notify(6.0, "RELOADING=1");
    assert!(!rig.health.is_ready() && rig.health.is_started());
    let said_so = "the process said so";
    assert_eq!(rig.health.failure(Readiness), (said_so.into(), 0));
    let message = rig.health.message();
    assert_eq!(
        message.as_deref(),
        Some(&*format!("readinessProbe: {said_so}"))
    );
    rig.notify(7.0, "READY=1");
    assert!(rig.health.is_ready());
    assert_eq!(rig.health.message().as_deref(), Some("Serving"));
    rig.notify(8.0, "STOPPING=1");
    assert!(!rig.health.is_ready());
    assert_eq!(killed_at(&rig), None);
}

#[test]
fn a_start_that_is_never_reported_fails_after_its_periods_and_can_be_extended() {
    let mut rig = Rig::new(&only(Startup, notify(Startup)));
    rig.run(1000.0, &answers(&[None]));
    assert_eq!(killed_at(&rig), Some(30.0));
    let mut rig = Rig::new(&only(Startup, notify(Startup)));
    rig.notify(25.0, "EXTEND_TIMEOUT_USEC=60000000");
    rig.run(1000.0, &answers(&[None]));
    // Failures at 10 and 20 count; those at 30 to 80 do not; the next one is the third.
    assert_eq!(killed_at(&rig), Some(90.0));
}

#[test]
fn a_watchdog_that_is_not_fed_restarts() {
    let mut rig = Rig::new(&only(Liveness, notify(Liveness)));
    for at in [1.0, 9.0, 19.0, 29.0] {
        rig.notify(at, "WATCHDOG=1");
    }
    rig.run(1000.0, &answers(&[None]));
    // Fed in the periods that end at 10, 20 and 30; not at 40, 50, 60.
    assert_eq!(killed_at(&rig), Some(60.0));
    let mut rig = Rig::new(&only(Liveness, notify(Liveness)));
    rig.notify(1.0, "WATCHDOG=trigger");
    assert_eq!(killed_at(&rig), Some(1.0));
    assert_eq!(&*rig.health.failure(Liveness).0, "the process said so");
}

#[test]
fn who_has_not_started_cannot_ask_for_a_restart() {
    let probes = Probes {
        startup: Some(Arc::new(probe())),
        liveness: Some(Arc::new(notify(Liveness))),
        readiness: None,
    };
    let mut rig = Rig::new(&probes);
    rig.notify(5.0, "WATCHDOG=trigger");
    assert_eq!(killed_at(&rig), None);
    rig.run(10.0, &answers(&[OK]));
    rig.notify(11.0, "WATCHDOG=trigger");
    assert_eq!(killed_at(&rig), Some(11.0));
}
