//! The set's sidecars: all are waited for side by side before anything starts, and told to quit once the set ended by
//! itself. On a requested stop Kubernetes ends them, after us or beside us.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::context::{Context, Owner, Timer};
use super::stop::Cause;
use super::{Stage, System};
use crate::domain::effect::Effect;
use crate::domain::fact::Fact;
use crate::domain::hook::Answer;
use crate::domain::id::{Label, RunId};
use crate::domain::plan::{OnTimeout, Plan, Sidecar};
use crate::domain::sidecar::{Gate, State};
use crate::domain::snapshot::SidecarView;
use crate::domain::time::{Human, Mono, Now};

/// So long a sidecar has to answer that it quits.
const QUIT: Duration = Duration::from_secs(1);

/// What is known about the sidecars.
#[derive(Debug, Default)]
pub(super) struct Sidecars {
    /// Those that are waited for, each with the instant of its timer.
    gates: Vec<(Gate, Mono)>,
    /// Those that have been told to quit; `None`: it is not time.
    quits: Option<Vec<Quit>>,
    /// Containers that Kubernetes ends by itself.
    natives: BTreeSet<String>,
    /// Of whom it was said.
    told: BTreeSet<Arc<str>>,
}

/// A request to quit.
#[derive(Debug)]
struct Quit {
    label: Arc<Label>,
    /// In flight.
    run: Option<RunId>,
}

impl Sidecars {
    /// Nobody has to be waited for any more.
    pub(super) fn are_past(&self) -> bool {
        let mut gates = self.gates.iter();
        gates.all(|(gate, _)| gate.state() != State::Waiting)
    }

    /// Everybody who was told to quit has answered.
    pub(super) fn have_quit(&self) -> bool {
        let mut quits = self.quits.iter().flatten();
        quits.all(|quit| quit.run.is_none())
    }

    /// What others see of them.
    pub(super) fn view(&self) -> Vec<SidecarView> {
        let view = |(gate, _): &(Gate, Mono)| SidecarView {
            name: Arc::clone(&gate.sidecar().label.process),
            state: gate.state(),
            message: gate.why().cloned(),
        };
        self.gates.iter().map(view).collect()
    }
}

impl System {
    /// Begins to wait for them all.
    pub(super) fn begin_sidecars(&mut self, plan: &Plan, now: Now) {
        let gates = plan.sidecars.iter();
        self.sidecars.gates = gates
            .filter_map(|sidecar| Some((Gate::begin(sidecar, now.mono)?, Mono::NEVER)))
            .collect();
        for at in 0..self.sidecars.gates.len() {
            self.rearm_gate(at);
        }
        self.tell_natives();
    }

    /// Something happened to a check or to a request to quit.
    pub(super) fn sidecar_answer(&mut self, at: u32, run: RunId, answer: Answer, now: Now) {
        let gates = &self.sidecars.gates;
        if gates
            .get(at as usize)
            .is_some_and(|(gate, _)| gate.owns(run))
        {
            self.with_gate(at, now, |gate, cx| gate.answer(answer, cx));
            return;
        }
        let mut quits = self.sidecars.quits.iter_mut().flatten();
        match (quits.find(|quit| quit.run == Some(run)), answer.verdict()) {
            (Some(quit), Some(verdict)) => {
                quit.run = None;
                let fact = Fact::SidecarQuit {
                    label: Arc::clone(&quit.label),
                    failure: verdict.err(),
                };
                self.shared.outbox.facts.push(fact);
            }
            (Some(_), None) => {}
            (None, _) => self.shared.late += 1,
        }
    }

    /// What the command of a check wrote.
    pub(super) fn sidecar_said(&mut self, at: u32, run: RunId, text: String) {
        match self.sidecars.gates.get_mut(at as usize) {
            Some((gate, _)) if gate.owns(run) => gate.said(text),
            _ => self.shared.late += 1,
        }
    }

    pub(super) fn sidecar_tick(&mut self, at: u32, now: Now) {
        self.sidecars.gates[at as usize].1 = Mono::NEVER;
        self.with_gate(at, now, Gate::tick);
    }

    /// A stop: nobody is waited for any more.
    pub(super) fn cut_sidecars(&mut self, now: Now) {
        for at in 0..self.sidecars.gates.len() as u32 {
            self.with_gate(at, now, Gate::cut);
        }
    }

    fn with_gate(&mut self, at: u32, now: Now, step: impl FnOnce(&mut Gate, &mut Context<'_>)) {
        let (gate, _) = &mut self.sidecars.gates[at as usize];
        let before = (gate.state(), gate.why().cloned());
        step(
            gate,
            &mut Context {
                now,
                owner: Owner::Sidecar(at),
                shared: &mut self.shared,
            },
        );
        let after = (gate.state(), gate.why().cloned());
        self.rearm_gate(at as usize);
        if before == after {
            return;
        }
        self.view.mark_all();
        let gate = &self.sidecars.gates[at as usize].0;
        let missed = before.0 == State::Waiting && after.0 == State::TimedOut;
        if missed && gate.sidecar().on_timeout == OnTimeout::Fail {
            let reason = gate.failure(now.mono);
            self.verdict.unavailable(reason.clone());
            self.begin_stop(Cause::StartFailed(reason), now);
        }
    }

    fn rearm_gate(&mut self, at: usize) {
        let (gate, armed) = &mut self.sidecars.gates[at];
        let deadline = gate.deadline();
        self.shared
            .rearm(Timer::Sidecar(at as u32), *armed, deadline);
        *armed = deadline;
    }

    /// These containers end by themselves once all others have.
    pub(super) fn know_natives(&mut self, names: Vec<String>) {
        self.sidecars.natives.extend(names);
        self.tell_natives();
    }

    /// Says, once, which of those that are to be told to quit need not be told.
    fn tell_natives(&mut self) {
        let Some(plan) = &self.plan else { return };
        for sidecar in &plan.sidecars {
            let name = &sidecar.label.process;
            let native = sidecar.quit.is_some() && self.sidecars.natives.contains(&**name);
            if native && self.sidecars.told.insert(Arc::clone(name)) {
                let label = Arc::clone(&sidecar.label);
                let fact = Fact::SidecarIsNative { label };
                self.shared.outbox.facts.push(fact);
            }
        }
    }

    /// Everything is over: tells the sidecars to quit if nobody else ends them. Gives the instant until which they have
    /// time to answer; `None`: there is nobody to tell, or they have been told.
    pub(super) fn begin_quits(&mut self, now: Now) -> Option<Mono> {
        let stop = self.stop.as_ref()?;
        let plan = self.plan.clone()?;
        let by_itself = !matches!(stop.cause, Cause::Requested(_));
        if !by_itself || self.stage != Stage::Stopping || self.sidecars.quits.is_some() {
            return None;
        }
        let until = stop.quits_until(now.mono + QUIT);
        self.tell_natives();
        let natives = &self.sidecars.natives;
        let told = |one: &&Arc<Sidecar>| !natives.contains(&*one.label.process);
        let mut quits = Vec::new();
        for sidecar in plan.sidecars.iter().filter(told) {
            let Some(request) = &sidecar.quit else {
                continue;
            };
            let mut cx = Context {
                now,
                owner: Owner::Sidecar(0),
                shared: &mut self.shared,
            };
            let run = cx.new_run();
            cx.effect(Effect::Request {
                run,
                request: Arc::clone(request),
                timeout: until.since(now.mono),
            });
            let label = Arc::clone(&sidecar.label);
            quits.push(Quit {
                label,
                run: Some(run),
            });
        }
        let any = !quits.is_empty();
        self.sidecars.quits = Some(quits);
        any.then_some(until)
    }

    /// Nobody waits for their answers any more.
    pub(super) fn cut_quits(&mut self) {
        for quit in self.sidecars.quits.iter_mut().flatten() {
            if let Some(run) = quit.run.take() {
                self.shared.owners.remove(&run);
                self.shared.outbox.facts.push(Fact::SidecarQuit {
                    label: Arc::clone(&quit.label),
                    failure: Some(format!("no answer in {}", Human(QUIT))),
                });
            }
        }
    }
}
