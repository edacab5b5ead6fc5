//! One probe of one run: when a check is due, what its answers add up to. The kubelet's worker (`prober/worker.go`) as a
//! machine.
//!
//! - Checks begin at a fixed rate; one that outlasts its period is followed at once by the next.
//! - An answer counts when `successThreshold` or `failureThreshold` of the same kind came in a row.
//! - A startup or liveness probe that failed asks nothing more of its run, nor does a startup probe that passed.

use std::sync::Arc;

use crate::domain::effect::Effect;
use crate::domain::hook::Answer;
use crate::domain::id::RunId;
use crate::domain::plan::{Check, Output, Probe, ProbeKind};
use crate::domain::process::machine::STUCK_AFTER;
use crate::domain::system::context::Context;
use crate::domain::time::{Human, Mono};

/// A probe at work.
#[derive(Debug, Clone)]
pub struct Checker {
    kind: ProbeKind,
    probe: Arc<Probe>,
    /// The next check is due then.
    next: Mono,
    flight: Option<Flight>,
    /// The command of a check that was killed, and may be there still; it is stuck from that instant on.
    killed: Option<(RunId, Mono)>,
    /// Whether the last answers passed, and how many of them in a row.
    streak: (bool, u32),
    /// What they added up to.
    result: Option<bool>,
    /// The result is another probe's.
    assumed: bool,
    /// What the last check that failed said.
    why: Option<Arc<str>>,
    /// Failures before then do not count.
    patient_until: Mono,
}

#[derive(Debug, Clone)]
struct Flight {
    run: RunId,
    exec: bool,
    until: Mono,
    said: Option<String>,
}

/// What an answer changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    None,
    /// It failed after it had passed, or for the first time; too few times to count.
    FirstFailure,
    /// The probe passes now.
    Passed,
    /// The probe fails now.
    Failed,
}

impl Checker {
    /// A probe that is not at work yet.
    pub fn new(kind: ProbeKind, probe: Arc<Probe>) -> Self {
        Checker {
            kind,
            probe,
            next: Mono::NEVER,
            flight: None,
            killed: None,
            streak: (false, 0),
            result: None,
            assumed: false,
            why: None,
            patient_until: Mono::ZERO,
        }
    }

    /// Which of the three.
    pub fn kind(&self) -> ProbeKind {
        self.kind
    }

    /// It goes by what the process says.
    pub fn is_notify(&self) -> bool {
        matches!(self.probe.check, Check::Notify)
    }

    /// Failures before `until` do not count.
    pub fn be_patient(&mut self, until: Mono) {
        self.patient_until = self.patient_until.max(until);
    }

    /// Begins: the first check is due at the end of the initial delay, counted from the start of the run.
    pub fn begin(&mut self, run_began: Mono, now: Mono) {
        let first = (run_began + self.probe.initial_delay).max(now);
        self.next = match (&self.probe.check, self.kind) {
            (Check::Notify, ProbeKind::Readiness) => Mono::NEVER,
            // Before the first period is over there is nothing to have been said.
            (Check::Notify, _) => first + self.probe.period,
            _ => first,
        };
    }

    /// Takes the place of another probe, which found this.
    pub fn assume(&mut self, passed: bool) {
        self.result = Some(passed);
        // A startup probe that has passed is not asked again, and what a process has said of itself is not said again.
        self.assumed = self.kind != ProbeKind::Startup && !self.is_notify();
    }

    /// Its answers have added up to something.
    pub fn has_found(&self) -> bool {
        self.result.is_some() && !self.assumed
    }

    /// When it wants a tick.
    pub fn deadline(&self) -> Mono {
        match &self.flight {
            Some(flight) => flight.until,
            None => self.next,
        }
    }

    /// `run` is its check in flight.
    pub fn owns(&self, run: RunId) -> bool {
        self.flight.as_ref().is_some_and(|flight| flight.run == run)
    }

    /// What the answers added up to; `None`: nothing yet.
    pub fn result(&self) -> Option<bool> {
        self.result
    }

    /// What the last check that failed said.
    pub fn why(&self) -> Option<&Arc<str>> {
        self.why.as_ref()
    }

    /// How often it failed in a row.
    pub fn failures(&self) -> u32 {
        match self.streak {
            (false, count) => count,
            (true, _) => 0,
        }
    }

    /// The probe itself.
    pub fn probe(&self) -> &Probe {
        &self.probe
    }

    /// Time has passed: a check is due, or the one in flight took too long. `told`: what a notify probe goes by.
    pub fn tick(&mut self, told: bool, cx: &mut Context<'_>) -> Change {
        let now = cx.now.mono;
        if self.deadline() > now {
            return Change::None;
        }
        if self.flight.is_some() {
            self.drop_flight(cx);
            let why = format!("no answer in {}", Human(self.probe.timeout));
            return self.count(Err(why), cx);
        }
        self.next = self.next + self.probe.period;
        match &self.probe.check {
            Check::Notify if told => self.count(Ok(()), cx),
            Check::Notify => self.count(Err("the process has not said so".to_owned()), cx),
            // One a period would become very many, where a file system hangs for a day.
            Check::Exec { .. } if self.is_stuck(cx) => {
                let why = "the check before is still there after SIGKILL";
                self.count(Err(why.to_owned()), cx)
            }
            Check::Exec { launch, label } => {
                let run = cx.new_run();
                cx.effect(Effect::Spawn {
                    run,
                    label: Arc::clone(label),
                    launch: Arc::clone(launch),
                    output: Output::Kept,
                });
                self.fly(run, true, now);
                Change::None
            }
            Check::Request(request) => {
                let run = cx.new_run();
                cx.effect(Effect::Request {
                    run,
                    request: Arc::clone(request),
                    timeout: self.probe.timeout,
                });
                self.fly(run, false, now);
                Change::None
            }
        }
    }

    fn fly(&mut self, run: RunId, exec: bool, now: Mono) {
        self.flight = Some(Flight {
            run,
            exec,
            until: now + self.probe.timeout,
            said: None,
        });
    }

    /// What the command in flight wrote.
    pub fn said(&mut self, text: String) {
        if let Some(flight) = &mut self.flight {
            flight.said = Some(text);
        }
    }

    /// The check in flight was answered.
    fn answer(&mut self, answer: Result<(), String>, cx: &mut Context<'_>) -> Change {
        let said = self.flight.take().and_then(|flight| flight.said);
        let answer = answer.map_err(|why| match said {
            Some(said) => format!("{why}: {said}"),
            None => why,
        });
        self.count(answer, cx)
    }

    /// Something became of the check in flight.
    pub fn hear(&mut self, answer: Answer, cx: &mut Context<'_>) -> Change {
        let unasked = answer.is_unasked();
        match answer.verdict() {
            None => Change::None,
            // The kubelet does not count either what it could not ask.
            Some(Err(why)) if unasked => self.unasked(why, cx),
            Some(answer) => self.answer(answer, cx),
        }
    }

    /// The command in flight could not be asked, for a reason that is not its own: that counts for nothing, and is told
    /// when all was well before.
    fn unasked(&mut self, why: String, cx: &Context<'_>) -> Change {
        self.flight = None;
        self.catch_up(cx.now.mono);
        let earlier = self.why.replace(why.into());
        match earlier {
            None => Change::FirstFailure,
            Some(_) => Change::None,
        }
    }

    /// The process itself has said how it is: that counts at once.
    pub fn decide(&mut self, passed: bool) -> Change {
        if self.is_on_hold() {
            return Change::None;
        }
        self.assumed = false;
        if self.result == Some(passed) {
            return Change::None;
        }
        self.streak = (passed, u32::from(passed));
        self.why = (!passed).then(|| "the process said so".into());
        self.conclude(passed)
    }

    /// Ends the check in flight; nothing more is asked.
    pub fn cut(&mut self, cx: &mut Context<'_>) {
        self.drop_flight(cx);
        self.next = Mono::NEVER;
    }

    fn drop_flight(&mut self, cx: &mut Context<'_>) {
        if let Some(flight) = self.flight.take() {
            if flight.exec {
                if !self.killed.is_some_and(|(run, _)| cx.is_remains(run)) {
                    self.killed = Some((flight.run, cx.now.mono + STUCK_AFTER));
                }
                cx.kill_remains(flight.run);
            } else {
                cx.forget(flight.run);
            }
        }
    }

    fn is_stuck(&self, cx: &Context<'_>) -> bool {
        (self.killed).is_some_and(|(run, since)| since <= cx.now.mono && cx.is_remains(run))
    }

    fn is_on_hold(&self) -> bool {
        match self.kind {
            ProbeKind::Startup => self.result.is_some(),
            ProbeKind::Liveness => self.result == Some(false),
            ProbeKind::Readiness => false,
        }
    }

    fn count(&mut self, answer: Result<(), String>, cx: &Context<'_>) -> Change {
        let passed = answer.is_ok();
        self.why = answer.err().map(Into::into);
        self.catch_up(cx.now.mono);
        if !passed && cx.now.mono < self.patient_until {
            return Change::None;
        }
        let (last, count) = self.streak;
        let first = count == 0 || last != passed;
        let count = if first { 1 } else { count.saturating_add(1) };
        self.streak = (passed, count);
        let enough = if passed {
            self.probe.success_threshold
        } else {
            self.probe.failure_threshold
        };
        let unheard = self.result.is_none() && self.kind == ProbeKind::Readiness;
        if count >= enough {
            self.assumed = false;
        }
        if count >= enough && self.result != Some(passed) {
            let change = self.conclude(passed);
            // What was not ready yet still is not: it is only said why.
            match change {
                Change::Failed if unheard && first => Change::FirstFailure,
                change => change,
            }
        } else if first && !passed {
            Change::FirstFailure
        } else {
            Change::None
        }
    }

    /// A ticker that nobody was there for has one tick left, not as many as it made.
    fn catch_up(&mut self, now: Mono) {
        let period = self.probe.period.as_nanos().max(1);
        let behind = now.since(self.next).as_nanos() / period;
        if self.next != Mono::NEVER && behind > 0 {
            let nanos = u64::try_from(behind * period).unwrap_or(u64::MAX);
            self.next = self.next + std::time::Duration::from_nanos(nanos);
        }
    }

    fn conclude(&mut self, passed: bool) -> Change {
        self.result = Some(passed);
        if self.is_on_hold() {
            self.next = Mono::NEVER;
        }
        if passed {
            Change::Passed
        } else {
            Change::Failed
        }
    }
}
