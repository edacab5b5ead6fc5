//! The table, pair by pair: every stimulus in every phase does what [`reaction`] says, on a real machine.

use super::*;
use crate::domain::claim::{News, Refusal};
use crate::domain::id::{InstanceId, ProcessId};
use crate::domain::plan::{FailurePolicy, InstanceHooks, Plan};
use crate::domain::process::phase::table;
use crate::domain::system::context::{Outbox, Owner, Shared};
use crate::domain::system::tests::world::{hook, secs, service, set};
use crate::domain::time::{Now, Wall};

const FAILURE: SpawnFailure = SpawnFailure {
    step: crate::domain::exit::SpawnStep::Exec,
    errno: 2,
};

/// A machine, its plan and its clock.
struct Bench {
    plan: Plan,
    machine: Machine,
    shared: Shared,
    now: Mono,
}

fn limits(now: Mono) -> Limits {
    Limits {
        hook_latest: now + secs(5.0),
        stop_latest: now + secs(20.0),
        t_kill: now + secs(20.0),
        hooks: true,
        signalled: false,
    }
}

impl Bench {
    fn new(hooks: &InstanceHooks) -> Self {
        Bench {
            plan: set(vec![service("a").with_hooks(hooks)]).plan,
            machine: Machine::new(),
            shared: Shared::new(1),
            now: Mono::ZERO,
        }
    }

    fn with(&mut self, step: impl FnOnce(&mut Machine, Me<'_>, &mut Context<'_>)) -> Outbox {
        let me = Me {
            process: &self.plan.processes[0],
            instance: &self.plan.processes[0].instances[0],
            grace: secs(30.0),
            next: self.plan.both(InstanceId {
                process: ProcessId(0),
                index: 0,
            }),
        };
        let mut cx = Context {
            now: Now {
                mono: self.now,
                wall: Wall(0),
            },
            owner: Owner::Unit(0),
            shared: &mut self.shared,
        };
        step(&mut self.machine, me, &mut cx);
        std::mem::take(&mut self.shared.outbox)
    }

    fn kind(&self) -> PhaseKind {
        self.machine.phase().kind()
    }

    fn hook_run(&mut self) -> RunId {
        self.machine
            .hook_mut()
            .and_then(|hook| hook.run())
            .unwrap_or(RunId(u64::MAX))
    }

    /// Applies a stimulus as the system would, on time.
    fn apply(&mut self, stimulus: Stimulus) -> Outbox {
        let hook = self.hook_run();
        let run = self.machine.live_run().unwrap_or(RunId(u64::MAX));
        let exit = |code| (Exit::Code(code), Usage::default(), 0);
        match stimulus {
            Stimulus::Start => self.with(super::Machine::start),
            Stimulus::DependencyFailed => self.with(|machine, me, cx| {
                machine.dependency_failed("b failed".to_owned(), me, cx);
            }),
            Stimulus::Granted => {
                let term = crate::domain::claim::Term {
                    stop_at: self.now + secs(90.0),
                    kill_at: self.now + secs(100.0),
                };
                self.claim(News::Granted(term))
            }
            Stimulus::DoneElsewhere => self.claim(News::Done),
            Stimulus::Refused => self.claim(News::Refused(Refusal::Denied("no".to_owned()))),
            Stimulus::Stop => {
                let limits = limits(self.now);
                self.with(|machine, me, cx| machine.stop(limits, me, cx))
            }
            Stimulus::Kill => self.with(super::Machine::kill),
            Stimulus::Spawned => self.with(|machine, me, cx| machine.spawned(run, 7, me, cx)),
            Stimulus::SpawnFailed => {
                self.with(|machine, me, cx| machine.spawn_failed(run, FAILURE, me, cx))
            }
            Stimulus::Exited => self.with(|machine, me, cx| machine.exited(exit(1), me, cx)),
            Stimulus::SessionEmpty => self.with(super::Machine::session_empty),
            Stimulus::HookSucceeded | Stimulus::HookFailed => {
                let code = u8::from(stimulus == Stimulus::HookFailed);
                assert!(
                    hook != RunId(u64::MAX) || reaction(self.kind(), stimulus) == Reaction::Late
                );
                self.with(|machine, me, cx| {
                    machine.hook_answer(Answer::Exited(Exit::Code(code)), me, cx);
                })
            }
            Stimulus::Unhealthy => self.with(|machine, me, cx| {
                machine.sick = Some(ProbeKind::Liveness);
                machine.react(Stimulus::Unhealthy, me, cx);
            }),
            Stimulus::Replace => self.with(super::Machine::replace),
            Stimulus::Tick => {
                self.now = self.machine.deadline().min(self.now + secs(3600.0));
                self.with(super::Machine::tick)
            }
        }
    }

    /// News of the claim that is in hand, or of none.
    fn claim(&mut self, news: News) -> Outbox {
        let run = self
            .machine
            .claim
            .map_or(RunId(u64::MAX), |claim| claim.run);
        self.with(|machine, me, cx| machine.claim_news(run, news, me, cx))
    }

    /// Brings a fresh machine into a phase by real stimuli.
    fn bring(kind: PhaseKind) -> Bench {
        use Stimulus as S;
        let left = |bench: &mut Bench| {
            let exit = (Exit::Code(1), Usage::default(), 2);
            bench.with(|machine, me, cx| machine.exited(exit, me, cx));
        };
        let each = Some(hook("h", 5.0, FailurePolicy::Fail));
        let mut hooks = InstanceHooks::default();
        match kind {
            PhaseKind::PreStart => hooks.pre_start = each,
            PhaseKind::Running => hooks.post_start = each,
            PhaseKind::PreStop => hooks.pre_stop = each,
            PhaseKind::PostStop => hooks.post_stop = each,
            _ => {}
        }
        let mut bench = Bench::new(&hooks);
        if kind == PhaseKind::Completed || kind == PhaseKind::Failed {
            bench.plan = set(vec![service("a").never()]).plan;
        }
        if kind == PhaseKind::Claiming {
            bench.plan = set(vec![service("a").once("lease")]).plan;
        }
        bench.with(|machine, _, cx| machine.expect_start(cx));
        let path: &[S] = match kind {
            PhaseKind::Waiting => &[],
            PhaseKind::Claiming | PhaseKind::PreStart | PhaseKind::Spawning => &[S::Start],
            PhaseKind::Running | PhaseKind::Clearing | PhaseKind::Completed => {
                &[S::Start, S::Spawned]
            }
            PhaseKind::PreStop | PhaseKind::Signalled => &[S::Start, S::Spawned, S::Stop],
            PhaseKind::Killed => &[S::Start, S::Spawned, S::Kill],
            PhaseKind::Stuck => &[S::Start, S::Spawned, S::Kill, S::Tick],
            PhaseKind::PostStop | PhaseKind::Backoff | PhaseKind::Failed => {
                &[S::Start, S::Spawned, S::Exited]
            }
            PhaseKind::Stopped => &[],
        };
        for stimulus in path {
            bench.apply(*stimulus);
        }
        match kind {
            PhaseKind::Clearing => left(&mut bench),
            PhaseKind::Stopped => {
                bench.with(super::Machine::retire);
            }
            PhaseKind::Completed => {
                let exit = (Exit::Code(0), Usage::default(), 0);
                bench.with(|machine, me, cx| machine.exited(exit, me, cx));
            }
            _ => {}
        }
        assert_eq!(bench.kind(), kind);
        bench.shared.late = 0;
        bench
    }
}

/// The phases a reaction may lead to from a phase. Written out by hand: the second opinion on the machine.
fn leads_to(reaction: Reaction, from: PhaseKind) -> Vec<PhaseKind> {
    use PhaseKind as P;
    match reaction {
        Reaction::BeginRun | Reaction::Renew => vec![P::Claiming, P::PreStart, P::Spawning],
        Reaction::BeginClaimed => vec![P::PreStart, P::Spawning],
        Reaction::TakeOver => vec![P::Completed],
        Reaction::BeginAgain => vec![P::PreStart],
        Reaction::Complain
        | Reaction::Hasten
        | Reaction::Remember
        | Reaction::Keep
        | Reaction::Late => vec![from],
        Reaction::GiveUp | Reaction::GiveUpClaim => vec![P::Failed],
        Reaction::Withdraw => vec![P::Stopped],
        Reaction::CutHook if from == P::PostStop => vec![P::Backoff, P::Stopped],
        Reaction::CutHook => vec![P::Stopped],
        Reaction::Spawn => vec![P::Spawning],
        Reaction::EnterRun => vec![P::Running],
        Reaction::FailRun if from == P::Killed || from == P::Stuck => vec![P::Backoff, P::Stopped],
        Reaction::FailRun => vec![P::Backoff],
        Reaction::BeginStop | Reaction::RejectRun | Reaction::ReplaceRun | Reaction::UpdateRun => {
            vec![P::PreStop, P::Signalled]
        }
        Reaction::BecomeReady => vec![P::Running],
        Reaction::CheckTimes => match from {
            P::PreStart => vec![P::Backoff],
            P::Running | P::PreStop => vec![P::Signalled],
            P::Clearing => vec![P::Clearing],
            P::PostStop => vec![P::Backoff],
            other => vec![other],
        },
        Reaction::SendStop => vec![P::Signalled],
        Reaction::KillRun => vec![P::Killed],
        Reaction::CallStuck => vec![P::Stuck],
        Reaction::EndRun => vec![P::Backoff, P::Stopped],
        Reaction::KillRest => vec![P::Clearing],
        Reaction::AfterRun | Reaction::Settle => vec![P::Backoff],
    }
}

#[test]
fn every_pair_does_what_the_table_says() {
    for kind in PhaseKind::ALL {
        for stimulus in Stimulus::ALL {
            let mut bench = Bench::bring(kind);
            let told = bench.apply(stimulus);
            let reaction = reaction(kind, stimulus);
            let allowed = leads_to(reaction, kind);
            assert!(
                allowed.contains(&bench.kind()),
                "{kind:?} x {stimulus:?} = {reaction:?} led to {:?}",
                bench.kind()
            );
            if reaction == Reaction::Late {
                assert_eq!(
                    bench.shared.late, 1,
                    "{kind:?} x {stimulus:?} was not counted"
                );
                assert!(told.effects.is_empty(), "{kind:?} x {stimulus:?}: {told:?}");
            } else {
                assert_eq!(
                    bench.shared.late, 0,
                    "{kind:?} x {stimulus:?} counted as late"
                );
            }
        }
    }
}

#[test]
fn every_waiting_phase_has_a_deadline() {
    for kind in PhaseKind::ALL {
        let bench = Bench::bring(kind);
        let bounded = bench.machine.deadline() < Mono::NEVER;
        let waits = !matches!(
            kind,
            // The table of children bounds the spawn; stuck and settled phases wait for nothing.
            PhaseKind::Spawning
                | PhaseKind::Stuck
                | PhaseKind::Completed
                | PhaseKind::Failed
                | PhaseKind::Stopped
        );
        assert_eq!(bounded, waits, "{kind:?}");
    }
}

#[test]
fn killed_before_its_exec_is_killed_all_the_same() {
    let mut bench = Bench::bring(PhaseKind::Spawning);
    bench.apply(Stimulus::Kill);
    assert_eq!(bench.kind(), PhaseKind::Killed);
    bench.apply(Stimulus::Spawned);
    assert_eq!(bench.kind(), PhaseKind::Killed);
    bench.apply(Stimulus::Exited);
    assert_eq!(bench.shared.late, 0);
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "compares a document of the repository with the table it shows"
)]
fn the_table_in_the_architecture_document_is_this_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/ARCHITECTURE.md");
    let document = std::fs::read_to_string(path).expect("ARCHITECTURE.md");
    let (begin, end) = ("<!-- machine table -->\n", "<!-- end of machine table -->");
    let shown = document
        .split_once(begin)
        .and_then(|(_, rest)| rest.split_once(end))
        .map(|(shown, _)| shown.trim());
    assert_eq!(
        shown,
        Some(table().trim()),
        "ARCHITECTURE.md shows another table. Put this between its marks:\n{}",
        table()
    );
}
