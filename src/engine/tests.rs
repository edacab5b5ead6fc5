//! The loop with fakes, for what real children cannot be made to do.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use expect_test::expect;
use tokio::sync::mpsc;

use super::MAILBOX;
use super::execute::Executor;
use super::publish::{record, told};
use super::run::Engine;
use crate::domain::event::Event;
use crate::domain::exit::{Exit, SpawnFailure, SpawnStep, Usage};
use crate::domain::fact::Fact;
use crate::domain::hook::Cut;
use crate::domain::id::{Label, RunId};
use crate::domain::plan::{
    GraceSource, Launch, LogRule, ObjectVersion, Once, Origin, Plan, ProbeKind, Request,
    SignalTarget, Traffic,
};
use crate::domain::process::phase::RunEnd;
use crate::domain::shutdown::report::{DrainReport, HookReport, InstanceReport, StopReport};
use crate::domain::signal::Signal;
use crate::domain::system::tests::world::{secs, service, set};
use crate::domain::system::{Config, System};
use crate::domain::time::{Mono, Now, Wall};
use crate::ports::{
    Children, Claims, LogPipes, Logs, Message, Notice, Notices, Record, Requests, Specs,
    StateFiles, Stdio,
};

const EAGAIN: i32 = 11;

/// What a fake child table is told to do, and what it was asked.
#[derive(Debug, Default)]
struct Table {
    forks_fail: u32,
    panics: bool,
    /// Something ends at every turn.
    floods: bool,
    spawned: Vec<RunId>,
    signals: Vec<(RunId, Signal)>,
    ending: Vec<Signal>,
    pending: Vec<Event>,
    /// There is always something, until a child was spawned; so many times at most.
    storm: u32,
}

#[derive(Debug, Clone, Default)]
struct FakeChildren(Rc<RefCell<Table>>);

impl Children for FakeChildren {
    fn spawn(
        &mut self,
        run: RunId,
        _: &Launch,
        _: Stdio,
    ) -> Result<Option<LogPipes>, SpawnFailure> {
        let mut table = self.0.borrow_mut();
        if table.forks_fail > 0 {
            table.forks_fail -= 1;
            return Err(SpawnFailure {
                step: SpawnStep::Fork,
                errno: EAGAIN,
            });
        }
        table.spawned.push(run);
        table.pending.push(Event::Spawned { run, pid: 1 });
        Ok(None)
    }

    fn signal(&mut self, run: RunId, signal: Signal, _: SignalTarget) -> bool {
        let mut table = self.0.borrow_mut();
        table.signals.push((run, signal));
        table.pending.push(Event::Exited {
            run,
            exit: Exit::Signal {
                signal,
                core: false,
            },
            usage: Usage::default(),
            left: 0,
        });
        true
    }

    fn listen_notify(&mut self, _: &str) -> std::io::Result<()> {
        Ok(())
    }

    fn end_orphans(&mut self, signal: Signal) {
        let mut table = self.0.borrow_mut();
        table.ending.push(signal);
        table.pending.push(Event::Childless);
    }

    async fn wait(&mut self, events: &mut Vec<Event>) {
        assert!(!self.0.borrow().panics, "as told");
        let mut pending = {
            let mut table = self.0.borrow_mut();
            if table.storm > 0 && table.spawned.is_empty() {
                table.storm -= 1;
                assert!(table.storm > 0, "something waits all the time");
                table.pending.push(Event::OrphansReaped(1));
            }
            std::mem::take(&mut table.pending)
        };
        if self.0.borrow().floods {
            // Each turn takes a little time, and is over at once.
            tokio::time::advance(Duration::from_micros(100)).await;
            pending.push(Event::OrphansReaped(1));
        }
        if pending.is_empty() {
            std::future::pending::<()>().await;
        }
        events.extend(pending);
    }
}

#[derive(Debug, Default)]
struct FakeLogs {
    records: Mutex<Vec<Record>>,
    /// Something was handed over after the last flush.
    waits: AtomicBool,
}

impl Logs for FakeLogs {
    fn open(&self, _: RunId, _: &Arc<Label>, _: &Arc<LogRule>, _: LogPipes) {}
    fn relog(&self, _: RunId, _: &Arc<Label>, _: &Arc<LogRule>) {}
    fn close(&self, _: RunId) {}
    fn record(&self, record: Record) {
        self.records.lock().unwrap().push(record);
        self.waits.store(true, Ordering::Relaxed);
    }
    fn flush(&self) {
        self.waits.store(false, Ordering::Relaxed);
    }
    fn last_lines(&self, _: &Label, _: usize) -> Vec<String> {
        Vec::new()
    }
    fn stop_blocking(&self) {}

    fn finish(&self, _: Duration) {}
}

#[derive(Debug)]
struct Nothing;

impl Requests for Nothing {
    fn ask(&mut self, _: RunId, _: Arc<Request>, _: Duration) {}
}

impl StateFiles for Nothing {
    fn write(&mut self, _: String, _: String) {}
}

impl Claims for Nothing {
    fn claim(&mut self, _: RunId, _: Arc<Once>) {}
    fn ended(&mut self, _: RunId, _: bool) {}
    fn withdraw(&mut self, _: RunId) {}
}

impl Notices for Nothing {
    fn notice(&mut self, _: Notice) {}
}

impl Specs for Nothing {
    fn reload(&mut self) {}
    fn try_out(&mut self, _: ObjectVersion, _: bool) {}
    fn unfollow(&mut self) {}
}

thread_local! {
    static START: tokio::time::Instant = tokio::time::Instant::now();
}

/// The paused clock of the runtime.
fn clock() -> Now {
    let elapsed = START.with(tokio::time::Instant::elapsed);
    Now {
        mono: Mono::ZERO + elapsed,
        wall: Wall(0),
    }
}

type FakeEngine = Engine<FakeChildren, FakeLogs, Nothing>;

fn engine(plan: Plan) -> (FakeEngine, FakeChildren, mpsc::Sender<Message>) {
    engine_with(plan, Arc::default())
}

fn engine_with(
    plan: Plan,
    logs: Arc<FakeLogs>,
) -> (FakeEngine, FakeChildren, mpsc::Sender<Message>) {
    let (sender, mailbox) = mpsc::channel(MAILBOX);
    let children = FakeChildren::default();
    let system = System::new(Config::default(), clock());
    let executor = Executor::new(children.clone(), logs, Nothing);
    let engine = Engine::new(system, executor, mailbox, clock);
    sender
        .try_send(Event::Loaded(Arc::new(plan)).into())
        .unwrap();
    (engine, children, sender)
}

#[tokio::test(start_paused = true)]
async fn a_fork_that_fails_is_tried_again_after_the_backoff() {
    let (mut engine, children, sender) = engine(set(vec![service("a")]).plan);
    children.0.borrow_mut().forks_fail = 3;
    let started = clock().mono;
    let stopper = async {
        // 1 s, 2 s and 4 s of backoff, then it runs.
        tokio::time::sleep_until(tokio::time::Instant::now() + secs(8.0)).await;
        assert_eq!(children.0.borrow().spawned.len(), 1);
        sender
            .send(Event::Signal(Signal::TERM).into())
            .await
            .unwrap();
        std::future::pending::<()>().await;
    };
    let outcome = tokio::select! {
        outcome = engine.run() => outcome,
        () = stopper => unreachable!("it never ends"),
    };
    assert_eq!(outcome.code, 0);
    assert!(clock().mono.since(started) < secs(8.1));
}

#[tokio::test(start_paused = true)]
async fn the_logs_are_told_of_what_they_were_given_before_the_engine_waits() {
    let logs = Arc::new(FakeLogs::default());
    let (mut engine, children, sender) =
        engine_with(set(vec![service("a")]).plan, Arc::clone(&logs));
    let stopper = async {
        tokio::time::sleep_until(tokio::time::Instant::now() + secs(1.0)).await;
        assert_eq!(children.0.borrow().spawned.len(), 1);
        assert!(!logs.records.lock().unwrap().is_empty());
        assert!(!logs.waits.load(Ordering::Relaxed));
        let term = Event::Signal(Signal::TERM);
        sender.send(term.into()).await.unwrap();
    };
    tokio::join!(engine.run(), stopper);
    assert!(!logs.waits.load(Ordering::Relaxed), "at the end as well");
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_messages_does_not_hold_a_signal_up() {
    let (mut engine, children, sender) = engine(set(vec![service("a")]).plan);
    children
        .0
        .borrow_mut()
        .pending
        .push(Event::OrphansReaped(1));
    for _ in 1..MAILBOX {
        let late = Event::Responded {
            run: RunId(999),
            result: Ok(()),
        };
        sender.try_send(late.into()).unwrap();
    }
    let table = children.0.clone();
    let until_spawned = async {
        while table.borrow().spawned.is_empty() {
            tokio::task::yield_now().await;
        }
        table.borrow_mut().pending.push(Event::Signal(Signal::TERM));
        // A real table would wake the engine.
        let wake = Event::OrphansReaped(0);
        let _ = sender.try_send(wake.into());
    };
    let (outcome, ()) = tokio::join!(engine.run(), until_spawned);
    assert_eq!(outcome.code, 0);
    assert!(!sender.is_closed());
}

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

/// A clock that goes on by a millisecond whenever somebody looks, as nobody waits.
fn clock_of_calls() -> Now {
    let calls = CALLS.get() + 1;
    CALLS.set(calls);
    Now {
        mono: Mono::ZERO + Duration::from_millis(calls),
        wall: Wall(0),
    }
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_exits_holds_neither_messages_nor_timers_up() {
    let (sender, mailbox) = mpsc::channel(MAILBOX);
    let children = FakeChildren::default();
    *children.0.borrow_mut() = Table {
        storm: 100_000,
        forks_fail: 1,
        ..Table::default()
    };
    let system = System::new(Config::default(), clock_of_calls());
    let logs = Arc::new(FakeLogs::default());
    let table = children.0.clone();
    let executor = Executor::new(children, logs, Nothing);
    let mut engine = Engine::new(system, executor, mailbox, clock_of_calls);
    let plan = set(vec![service("a")]).plan;
    sender
        .try_send(Event::Loaded(Arc::new(plan)).into())
        .unwrap();
    let until_spawned = async {
        while table.borrow().spawned.is_empty() {
            tokio::task::yield_now().await;
        }
        sender.try_send(Event::Signal(Signal::TERM).into()).unwrap();
    };
    let (outcome, ()) = tokio::join!(engine.run(), until_spawned);
    assert_eq!(outcome.code, 0);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_exits_does_not_hold_the_timers_up() {
    let (mut engine, children, _sender) = engine(set(vec![service("a")]).plan);
    children.0.borrow_mut().forks_fail = 1;
    children.0.borrow_mut().floods = true;
    let table = children.0.clone();
    // The restart after the failed fork is due in a second.
    let until_spawned = async {
        while table.borrow().spawned.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = engine.run() => unreachable!("nobody stops it"),
        () = until_spawned => {}
    }
}

#[tokio::test(start_paused = true)]
async fn after_an_internal_error_the_children_are_ended() {
    let (mut engine, children, _sender) = engine(set(vec![service("a")]).plan);
    let table = children.0.clone();
    {
        let run = engine.run();
        tokio::pin!(run);
        tokio::select! {
            biased;
            _ = &mut run => unreachable!("nobody stops it"),
            () = async { while table.borrow().spawned.is_empty() { tokio::task::yield_now().await; } } => {}
        }
    }
    table.borrow_mut().panics = true;
    table.borrow_mut().pending.push(Event::OrphansReaped(1));
    let panicked =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| poll_once(engine.run()))).is_err();
    assert!(panicked);
    table.borrow_mut().panics = false;
    engine.emergency().await;
    let table = table.borrow();
    assert_eq!(table.signals[0], (table.spawned[0], Signal::TERM));
    assert_eq!(table.ending.first(), Some(&Signal::TERM));
}

/// Polls a future once, here and now.
fn poll_once(future: impl Future) {
    let waker = std::task::Waker::noop();
    let mut cx = std::task::Context::from_waker(waker);
    let _ = std::pin::pin!(future).poll(&mut cx);
}

fn stop_report(label: Arc<Label>) -> StopReport {
    let at = |seconds: f64| Some(secs(seconds));
    let instance = InstanceReport {
        label,
        traffic: Traffic::Serving,
        signal: Signal::QUIT,
        asked: at(2.0),
        signalled: at(2.5),
        killed: at(4.0),
        by_deadline: true,
        exited: at(4.0),
        gone: at(4.0),
        how: Some(RunEnd::Exit(Exit::Code(3))),
    };
    StopReport {
        why: "SIGTERM".to_owned(),
        code: 124,
        grace: secs(6.0),
        source: GraceSource::Spec,
        budget: secs(4.0),
        shortened: false,
        claims_cut: true,
        used: secs(4.0),
        drain: Some(DrainReport {
            planned: secs(3.0),
            took: secs(2.0),
            cut: true,
        }),
        hooks: vec![
            HookReport {
                name: "announce".into(),
                began: secs(0.0),
                took: secs(1.0),
                failure: Some("exit code 1".to_owned()),
            },
            HookReport {
                name: "bye".into(),
                began: secs(3.5),
                took: secs(0.5),
                failure: None,
            },
        ],
        instances: vec![instance],
    }
}

/// The report for people, on a terminal and in the termination message.
#[test]
fn a_stop_is_told_in_lines() {
    let label = Arc::new(Label {
        process: "web".into(),
        instance: "web-0".into(),
    });
    let report = stop_report(label);
    let told = record(Fact::StopReported(Arc::new(report.clone())));
    expect![[r#"
        stopped in 4.0s of 4.0s
        SIGTERM; budget 4.0s of 6.0s (spec.terminationGracePeriodSeconds), too short for all claims
          announce |==========                              |   1.0s  exit code 1
          bye      |                                   =====|  500ms  done
          drain    |====================                    |   2.0s  cut
          web-0    |                    ===================X|   2.0s  SIGQUIT, SIGKILL at the set's deadline
    "#]].assert_eq(&format!("{}\n{}\n", told.message, told.lines.join("\n")));
    expect![[r#"
        used 4.0s of 4.0s (grace 6.0s from spec.terminationGracePeriodSeconds), claims cut
        drain: 2.0s (cut)
        hook announce: exit code 1, took 1.0s
        hook bye: done, took 500ms
        web-0: asked 2.0s, SIGQUIT 2.5s, SIGKILL 4.0s, exited 4.0s, exit code 3, took 2.0s
    "#]]
    .assert_eq(&(super::publish::report::brief(&report).join("\n") + "\n"));
}

#[test]
#[expect(clippy::too_many_lines, reason = "a list of every fact")]
fn every_fact_has_words() {
    let label = Arc::new(Label {
        process: "web".into(),
        instance: "web-0".into(),
    });
    let second = secs(1.0);
    let label = || Arc::clone(&label);
    let exit = Exit::Code(3);
    let failure = SpawnFailure {
        step: SpawnStep::Exec,
        errno: 2,
    };
    let hook_cut = |by| Fact::HookCut {
        of: "web-0".into(),
        hook: "preStop".into(),
        by,
        attempts: 1,
        took: second,
    };
    let facts = [
        Fact::PlanAccepted {
            name: "set".into(),
            origin: Origin {
                what: "shop.yaml".into(),
                object: None,
            },
            processes: 2,
        },
        Fact::SignalIgnored {
            signal: Signal::HUP,
            why: "no reload",
        },
        Fact::Started {
            label: label(),
            pid: 7,
            restarts: 0,
        },
        Fact::SpawnFailed {
            label: label(),
            failure,
        },
        Fact::Exited {
            label: label(),
            pid: 7,
            exit,
            success: false,
            lived: second,
            usage: Usage::default(),
            left: 1,
        },
        Fact::RestartScheduled {
            label: label(),
            delay: second,
            attempt: 1,
            after: RunEnd::Exit(exit),
        },
        Fact::Completed { label: label() },
        Fact::DoneElsewhere { label: label() },
        Fact::ClaimLost { label: label() },
        Fact::ClaimUnrecorded { label: label() },
        Fact::FailedForGood {
            label: label(),
            why: "exit code 3".to_owned(),
        },
        Fact::StillWaiting {
            label: label(),
            on: "db (Ready)".to_owned(),
        },
        Fact::ActiveDeadlineExceeded {
            label: label(),
            limit: second,
        },
        Fact::StopSignalled {
            label: label(),
            signal: Signal::QUIT,
            target: SignalTarget::Leader,
            grace: second,
        },
        Fact::Killed {
            label: label(),
            by_deadline: true,
        },
        Fact::Killed {
            label: label(),
            by_deadline: false,
        },
        Fact::LeftoversSignalled {
            label: label(),
            signal: Signal::TERM,
        },
        Fact::Stuck { label: label() },
        Fact::HookEnded {
            of: "web-0".into(),
            hook: "preStop".into(),
            failure: None,
            attempts: 1,
            took: second,
        },
        Fact::HookEnded {
            of: "web-0".into(),
            hook: "preStop".into(),
            failure: Some("exit code 1".to_owned()),
            attempts: 1,
            took: second,
        },
        hook_cut(Cut::Stop),
        hook_cut(Cut::ProcessEnded),
        Fact::AllStarted { took: second },
        Fact::StopRequested {
            why: "SIGTERM".to_owned(),
            grace: second,
            source: GraceSource::Spec,
            budget: second,
            shrunk: false,
            drain: second,
        },
        Fact::StopRepeated {
            signal: Signal::TERM,
        },
        Fact::Hurried,
        Fact::DeadlineShortened {
            budget: second,
            shrunk: true,
        },
        Fact::StopReported(Arc::new(stop_report(label()))),
        Fact::ProbeFailing {
            label: label(),
            probe: ProbeKind::Startup,
            why: "refused".into(),
        },
        Fact::BecameReady {
            label: label(),
            took: second,
        },
        Fact::BecameUnready {
            label: label(),
            why: "status 503".into(),
            failures: 3,
        },
        Fact::Unhealthy {
            label: label(),
            probe: ProbeKind::Liveness,
            why: "status 503".into(),
            failures: 3,
        },
        Fact::NotifyFailed {
            why: "no socket".to_owned(),
        },
        Fact::Finished {
            code: 0,
            reason: "all processes completed".to_owned(),
            used: second,
            orphans: 0,
            runs: 1,
            exits: 1,
        },
    ];
    let notices: Vec<_> = facts
        .iter()
        .filter_map(|fact| told(fact.clone()).1)
        .collect();
    let told: Vec<String> = (notices.iter())
        .map(|one| format!("{} {}: {}", one.reason, one.action, one.note))
        .collect();
    expect_test::expect![[r#"
        FailedStart Starting: web-0: failed to execute its command: No such file or directory
        Restarting Restarting: web-0: exit code 3; restarting in 1.0s
        Failed Restarting: web-0: failed for good: exit code 3
        DeadlineExceeded Stopping: web-0: ran longer than activeDeadlineSeconds 1
        Killed Killing: web-0: killed: the deadline of the set has come
        Killed Killing: web-0: killed: its grace period is over
        Stuck Killing: web-0: stuck: still there after SIGKILL
        FailedPreStopHook Stopping: hook preStop of web-0 failed: exit code 1
        FailedPreStopHook Stopping: hook preStop of web-0 cut by a stop
        Draining Stopping: stopping on SIGTERM: grace 1.0s, drain 1.0s
        Unhealthy Probing: web-0: not ready: readinessProbe failed 3 times in a row: status 503
        Unhealthy Probing: web-0: unhealthy: livenessProbe failed 3 times in a row: status 503"#]]
    .assert_eq(&told.join("\n"));
    let page = include_str!("../../docs/kubernetes.md");
    for notice in notices {
        let known = format!("`{}`", notice.reason);
        let kind = if notice.warning { "Warning" } else { "Normal" };
        let mut lines = page.lines().filter(|line| line.starts_with('|'));
        let line = lines.find(|line| line.contains(&known));
        let line = line.unwrap_or_else(|| panic!("{known} is in no table of docs/kubernetes.md"));
        assert!(line.contains(&format!("| {kind} |")), "{line}");
    }
    let said: Vec<String> = facts
        .into_iter()
        .map(record)
        .map(|record| format!("{} {}", record.level, record.message))
        .collect();
    expect_test::expect![[r#"
        info plan accepted
        warn SIGHUP ignored: no reload
        info started
        error failed to execute its command: No such file or directory
        warn exited after 1.0s: exit code 3
        info restarting in 1.0s
        info completed
        info not run: it has succeeded in another pod
        error stopped: its claim could not be renewed, and another pod may run it
        warn its success could not be written: another pod runs it again
        error failed for good: exit code 3
        warn still waiting for db (Ready)
        warn ran longer than activeDeadlineSeconds 1
        info stopping with SIGQUIT
        warn killed: the deadline of the set has come
        warn killed: its grace period is over
        info ending what it left behind with SIGTERM
        error stuck: still there after SIGKILL
        info hook preStop of web-0 done
        error hook preStop of web-0 failed: exit code 1
        warn hook preStop of web-0 cut by a stop
        info hook preStop of web-0 ended with its process
        info all processes started in 1.0s
        info stopping on SIGTERM
        info SIGTERM again: the stop goes on
        warn interrupted again: killing what is left
        info the pod ends earlier: 1.0s in all
        info stopped in 4.0s of 4.0s
        info startupProbe fails: refused
        info ready 1.0s after its start
        warn not ready: readinessProbe failed 3 times in a row: status 503
        warn unhealthy: livenessProbe failed 3 times in a row: status 503
        error probes of the kind notify cannot pass: no socket for the sd_notify protocol: no socket
        info finished: all processes completed"#]]
    .assert_eq(&said.join("\n"));
}
