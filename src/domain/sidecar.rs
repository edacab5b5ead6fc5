//! The wait for one sidecar: a startup probe with a limit, and what is said meanwhile.

use std::sync::Arc;
use std::time::Duration;

use super::fact::Fact;
use super::health::check::{Change, Checker};
use super::hook::Answer;
use super::id::RunId;
use super::plan::{ProbeKind, Sidecar};
use super::process::machine::PATIENCE;
use super::system::context::Context;
use super::time::{Human, Mono};

/// Whether a sidecar is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Not yet.
    Waiting,
    /// It is, or was: nobody asks again.
    Ready,
    /// It was not in time.
    TimedOut,
}

/// A sidecar that is waited for.
#[derive(Debug, Clone)]
pub struct Gate {
    sidecar: Arc<Sidecar>,
    checker: Checker,
    state: State,
    began: Mono,
    until: Mono,
    patience: Duration,
    complain_at: Mono,
}

impl Gate {
    /// Begins to wait; `None` for one that nobody waits for.
    pub fn begin(sidecar: &Arc<Sidecar>, now: Mono) -> Option<Gate> {
        let probe = sidecar.probe.as_ref()?;
        let mut checker = Checker::new(ProbeKind::Startup, Arc::clone(probe));
        checker.begin(now, now);
        Some(Gate {
            sidecar: Arc::clone(sidecar),
            checker,
            state: State::Waiting,
            began: now,
            until: now + probe.limit(),
            patience: PATIENCE,
            complain_at: now + PATIENCE,
        })
    }

    /// The sidecar.
    pub fn sidecar(&self) -> &Sidecar {
        &self.sidecar
    }

    /// Whether it is ready.
    pub fn state(&self) -> State {
        self.state
    }

    /// What it last said.
    pub fn why(&self) -> Option<&Arc<str>> {
        self.checker.why()
    }

    /// When it wants a tick.
    pub fn deadline(&self) -> Mono {
        match self.state {
            State::Waiting => {
                let told = self.until.min(self.complain_at);
                self.checker.deadline().min(told)
            }
            State::Ready | State::TimedOut => Mono::NEVER,
        }
    }

    /// `run` is a check in flight.
    pub fn owns(&self, run: RunId) -> bool {
        self.checker.owns(run)
    }

    /// What a command in flight wrote.
    pub fn said(&mut self, text: String) {
        self.checker.said(text);
    }

    /// The check in flight was answered.
    pub fn answer(&mut self, answer: Answer, cx: &mut Context<'_>) {
        let change = self.checker.hear(answer, cx);
        self.follow(change, cx);
    }

    /// Time has passed.
    pub fn tick(&mut self, cx: &mut Context<'_>) {
        let now = cx.now.mono;
        if self.state != State::Waiting {
            return;
        }
        if now >= self.until {
            return self.time_out(cx);
        }
        let change = self.checker.tick(false, cx);
        self.follow(change, cx);
        if self.state == State::Waiting && now >= self.complain_at {
            self.patience = self.patience.saturating_mul(2);
            self.complain_at = now + self.patience;
            cx.fact(Fact::SidecarStillWaiting {
                label: Arc::clone(&self.sidecar.label),
                why: self.why().cloned(),
            });
        }
    }

    /// A stop: nobody waits any more. What was found stays.
    pub fn cut(&mut self, cx: &mut Context<'_>) {
        self.checker.cut(cx);
        (self.until, self.complain_at) = (Mono::NEVER, Mono::NEVER);
    }

    fn follow(&mut self, change: Change, cx: &mut Context<'_>) {
        match change {
            Change::None => {}
            Change::FirstFailure => cx.fact(Fact::ProbeFailing {
                label: Arc::clone(&self.sidecar.label),
                probe: ProbeKind::Startup,
                why: self.last_words(),
            }),
            Change::Passed => {
                self.state = State::Ready;
                cx.fact(Fact::SidecarReady {
                    label: Arc::clone(&self.sidecar.label),
                    took: cx.now.mono.since(self.began),
                });
            }
            Change::Failed => self.time_out(cx),
        }
    }

    fn time_out(&mut self, cx: &mut Context<'_>) {
        self.checker.cut(cx);
        self.state = State::TimedOut;
        cx.fact(Fact::SidecarTimedOut {
            label: Arc::clone(&self.sidecar.label),
            then: self.sidecar.on_timeout,
            took: cx.now.mono.since(self.began),
            why: self.last_words(),
        });
    }

    fn last_words(&self) -> Arc<str> {
        self.why().cloned().unwrap_or_else(|| "no answer".into())
    }

    /// Why it is not ready, as the reason of an end.
    pub fn failure(&self, now: Mono) -> String {
        format!(
            "sidecar {} was not ready in {}: {}: {}",
            self.sidecar.label,
            Human(now.since(self.began)),
            ProbeKind::Startup.field(),
            self.last_words()
        )
    }
}
