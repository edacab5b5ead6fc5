//! The health of one run: its probes, which gates which, and what they say together. Begins anew with each run.

use std::sync::Arc;

use self::check::{Change, Checker};
use self::notify::Statement;
use super::hook::Answer;
use super::id::RunId;
use super::plan::{ProbeKind, Probes};
use super::system::context::Context;
use super::time::Mono;

pub mod check;
pub mod notify;
#[cfg(test)]
mod tests;

/// The probes of a run.
#[derive(Debug, Clone)]
pub struct Health {
    began: Mono,
    /// The postStart hook runs: as under the kubelet nothing is asked before it is done.
    held: bool,
    startup: Option<Checker>,
    liveness: Option<Checker>,
    readiness: Option<Checker>,
    said: Said,
}

/// What the process said of itself.
#[derive(Debug, Clone)]
struct Said {
    ready: bool,
    /// Since the last check of the liveness probe.
    alive: bool,
    status: Option<Arc<str>>,
}

/// What something changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing that matters outside.
    Same,
    /// A check failed that did not before; which, and why.
    Failing(ProbeKind, Arc<str>),
    /// Started or ready may be otherwise now.
    Changed,
    /// The run must be replaced.
    Unhealthy(ProbeKind),
}

impl Health {
    /// The health of a run that begins now; `held`: nothing is asked before [`Health::release`].
    pub fn begin(probes: &Probes, held: bool, cx: &Context<'_>) -> Health {
        let now = cx.now.mono;
        let checker = |kind, probe: &Option<Arc<_>>| {
            let probe = probe.as_ref()?;
            Some(Checker::new(kind, Arc::clone(probe)))
        };
        let mut health = Health {
            began: now,
            held: true,
            startup: checker(ProbeKind::Startup, &probes.startup),
            liveness: checker(ProbeKind::Liveness, &probes.liveness),
            readiness: checker(ProbeKind::Readiness, &probes.readiness),
            said: Said {
                ready: false,
                alive: false,
                status: None,
            },
        };
        if !held {
            health.release(now);
        }
        health
    }

    /// The postStart hook is done, or there is none.
    pub fn release(&mut self, now: Mono) {
        self.held = false;
        let began = self.began;
        match &mut self.startup {
            Some(startup) if startup.result().is_none() => startup.begin(began, now),
            _ => self.pass_gate(now),
        }
    }

    /// The startup probe passed, or there is none.
    pub fn is_started(&self) -> bool {
        (self.startup.as_ref()).is_none_or(|startup| startup.result() == Some(true))
    }

    /// Started, and the readiness probe passes if there is one.
    pub fn is_ready(&self) -> bool {
        let ready = |readiness: &Checker| readiness.result() == Some(true);
        self.is_started() && self.readiness.as_ref().is_none_or(ready)
    }

    /// Each probe has found something by itself; a startup probe that took the place of one that passed need not.
    pub fn has_found(&self) -> bool {
        let all = [&self.startup, &self.liveness, &self.readiness];
        all.into_iter().flatten().all(Checker::has_found)
    }

    /// It has a probe that decides whether it is ready.
    pub fn is_gated(&self) -> bool {
        self.startup.is_some() || self.readiness.is_some()
    }

    /// Why it is not ready, or what it says of itself.
    pub fn message(&self) -> Option<Arc<str>> {
        let Some(gate) = self.unmet() else {
            return self.said.status.clone();
        };
        let kind = gate.kind().field();
        Some(match gate.why() {
            Some(why) => format!("{kind}: {why}").into(),
            None => format!("{kind} has not passed yet").into(),
        })
    }

    /// What differs between two messages of the same probes.
    pub fn words(&self) -> Option<&Arc<str>> {
        match self.unmet() {
            Some(gate) => gate.why(),
            None => self.said.status.as_ref(),
        }
    }

    /// The probe that it is not ready for.
    fn unmet(&self) -> Option<&Checker> {
        let gate = match &self.startup {
            Some(startup) if startup.result() != Some(true) => Some(startup),
            _ => self.readiness.as_ref(),
        };
        gate.filter(|gate| gate.result() != Some(true))
    }

    /// Why this probe failed, and how many times in a row.
    pub fn failure(&self, kind: ProbeKind) -> (Arc<str>, u32) {
        let checker = match kind {
            ProbeKind::Startup => &self.startup,
            ProbeKind::Liveness => &self.liveness,
            ProbeKind::Readiness => &self.readiness,
        };
        let why = checker.as_ref().and_then(Checker::why);
        let count = checker.as_ref().map_or(0, Checker::failures);
        (why.cloned().unwrap_or_default(), count)
    }

    /// When it wants a tick.
    pub fn deadline(&self) -> Mono {
        let all = [&self.startup, &self.liveness, &self.readiness];
        let deadlines = all.into_iter().flatten().map(Checker::deadline);
        deadlines.min().unwrap_or(Mono::NEVER)
    }

    /// `run` is a check in flight.
    pub fn owns(&self, run: RunId) -> bool {
        let all = [&self.startup, &self.liveness, &self.readiness];
        all.into_iter().flatten().any(|checker| checker.owns(run))
    }

    /// What a command in flight wrote.
    pub fn said(&mut self, run: RunId, text: String) {
        if let Some(checker) = self.flying(run) {
            checker.said(text);
        }
    }

    /// The check in flight was answered.
    pub fn answer(&mut self, run: RunId, answer: Answer, cx: &mut Context<'_>) -> Verdict {
        let Some(checker) = self.flying(run) else {
            return Verdict::Same;
        };
        let kind = checker.kind();
        let change = checker.hear(answer, cx);
        self.follow(kind, change, cx)
    }

    /// Time has passed.
    pub fn tick(&mut self, cx: &mut Context<'_>) -> Verdict {
        let now = cx.now.mono;
        let (said_ready, said_alive) = (self.said.ready, self.said.alive);
        let due = |checker: &Option<Checker>| {
            (checker.as_ref()).is_some_and(|checker| checker.deadline() <= now)
        };
        let (kind, checker, told) = if due(&self.startup) {
            (ProbeKind::Startup, &mut self.startup, said_ready)
        } else if due(&self.liveness) {
            self.said.alive = false;
            (ProbeKind::Liveness, &mut self.liveness, said_alive)
        } else {
            (ProbeKind::Readiness, &mut self.readiness, said_ready)
        };
        let change = (checker.as_mut()).map_or(Change::None, |one| one.tick(told, cx));
        self.follow(kind, change, cx)
    }

    /// The process said something of itself. The first verdict that matters counts.
    pub fn notified(&mut self, message: &str, cx: &mut Context<'_>) -> Verdict {
        let mut verdict = Verdict::Same;
        for statement in notify::statements(message) {
            let next = self.take(statement, cx);
            if !matches!(verdict, Verdict::Unhealthy(_)) && next != Verdict::Same {
                verdict = next;
            }
        }
        verdict
    }

    fn take(&mut self, statement: Statement, cx: &mut Context<'_>) -> Verdict {
        match statement {
            Statement::Ready | Statement::NotReady => {
                let ready = statement == Statement::Ready;
                self.said.ready = ready;
                let mut verdict = Verdict::Same;
                if ready && let Some(startup) = notify_only(&mut self.startup) {
                    let change = startup.decide(true);
                    verdict = self.follow(ProbeKind::Startup, change, cx);
                }
                if let Some(readiness) = notify_only(&mut self.readiness) {
                    let change = readiness.decide(ready);
                    let next = self.follow(ProbeKind::Readiness, change, cx);
                    verdict = if next == Verdict::Same { verdict } else { next };
                }
                verdict
            }
            Statement::Alive => {
                self.said.alive = true;
                Verdict::Same
            }
            Statement::Sick => {
                let started = self.is_started();
                match notify_only(&mut self.liveness).filter(|_| started) {
                    Some(liveness) => {
                        let change = liveness.decide(false);
                        self.follow(ProbeKind::Liveness, change, cx)
                    }
                    None => Verdict::Same,
                }
            }
            Statement::Status(text) => {
                let same = self.said.status.as_ref() == Some(&text);
                self.said.status = Some(text);
                if same {
                    Verdict::Same
                } else {
                    Verdict::Changed
                }
            }
            Statement::Extend(time) => {
                if let Some(startup) = &mut self.startup {
                    startup.be_patient(cx.now.mono + time);
                }
                Verdict::Same
            }
        }
    }

    /// The spec changed. A probe that is written as before goes on; another one begins anew, and until it has found
    /// something what was found before holds: nobody becomes unready by a new probe that would pass.
    pub fn renew(&mut self, probes: &Probes, cx: &mut Context<'_>) {
        let (started, ready) = (self.is_started(), self.is_ready());
        let (began, held) = (self.began, self.held);
        let now = cx.now.mono;
        let pairs = [
            (ProbeKind::Startup, &mut self.startup, &probes.startup),
            (ProbeKind::Liveness, &mut self.liveness, &probes.liveness),
            (ProbeKind::Readiness, &mut self.readiness, &probes.readiness),
        ];
        for (kind, checker, written) in pairs {
            let same = match (&*checker, written) {
                (Some(checker), Some(written)) => checker.probe() == &**written,
                (None, None) => true,
                _ => false,
            };
            if same {
                continue;
            }
            if let Some(checker) = checker {
                checker.cut(cx);
            }
            *checker = written.as_ref().map(|probe| {
                let mut checker = Checker::new(kind, Arc::clone(probe));
                match kind {
                    ProbeKind::Startup if started => checker.assume(true),
                    ProbeKind::Readiness if started => checker.assume(ready),
                    _ => {}
                }
                // The startup probe comes first, and a startup probe that has passed is not asked again.
                if !held && started != (kind == ProbeKind::Startup) {
                    checker.begin(began, now);
                }
                checker
            });
        }
        if !started && self.is_started() {
            self.pass_gate(now);
        }
    }

    /// The run is being stopped: nothing more is asked, and what was found stays.
    pub fn cut(&mut self, cx: &mut Context<'_>) {
        let all = [&mut self.startup, &mut self.liveness, &mut self.readiness];
        for checker in all.into_iter().flatten() {
            checker.cut(cx);
        }
    }

    fn follow(&mut self, kind: ProbeKind, change: Change, cx: &Context<'_>) -> Verdict {
        match (change, kind) {
            (Change::None, _) => Verdict::Same,
            (Change::FirstFailure, _) => Verdict::Failing(kind, self.failure(kind).0),
            (Change::Failed, ProbeKind::Startup | ProbeKind::Liveness) => Verdict::Unhealthy(kind),
            (Change::Passed, ProbeKind::Startup) => {
                self.pass_gate(cx.now.mono);
                Verdict::Changed
            }
            (Change::Passed, ProbeKind::Liveness) => Verdict::Same,
            (Change::Passed | Change::Failed, ProbeKind::Readiness) => Verdict::Changed,
        }
    }

    /// The other probes begin.
    fn pass_gate(&mut self, now: Mono) {
        if self.held {
            return;
        }
        let began = self.began;
        for checker in [&mut self.liveness, &mut self.readiness]
            .into_iter()
            .flatten()
        {
            checker.begin(began, now);
        }
    }

    fn flying(&mut self, run: RunId) -> Option<&mut Checker> {
        let all = [&mut self.startup, &mut self.liveness, &mut self.readiness];
        all.into_iter().flatten().find(|checker| checker.owns(run))
    }
}

/// A probe that goes by what the process says.
fn notify_only(checker: &mut Option<Checker>) -> Option<&mut Checker> {
    checker.as_mut().filter(|checker| checker.is_notify())
}
