//! One hook, from its first attempt to its last: the same machine for hooks of the set and of an instance.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::effect::Effect;
use super::exit::{Exit, SpawnFailure};
use super::fact::Fact;
use super::id::RunId;
use super::plan::{Hook, HookAction, Output};
use super::system::context::Context;
use super::time::Mono;

/// A hook that is running.
#[derive(Debug, Clone)]
pub struct HookRun {
    hook: Arc<Hook>,
    of: Arc<str>,
    began: Mono,
    attempts: u32,
    /// What went wrong with the last one.
    why: Option<String>,
    /// Nothing of it runs past this.
    latest: Mono,
    state: State,
    /// How long it took and what went wrong.
    ended: Option<(Duration, Option<String>)>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// A child or a request; killed at `until`.
    Trying { run: RunId, exec: bool, until: Mono },
    /// A sleep, or the time between attempts.
    Waiting { until: Mono, then: Then },
    /// Over.
    Done,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Succeed,
    Retry,
}

/// What ends a hook before it has done its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// A stop of the set, or of its process.
    Stop,
    /// A change of the spec: its process begins anew, or is wanted no more.
    Change,
    /// The claim that its process holds is over.
    Claim,
    /// The process of its run has ended: a preStop hook that makes it leave is meant to do that.
    ProcessEnded,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Cut::Stop => "cut by a stop",
            Cut::Change => "cut by a change of the spec",
            Cut::Claim => "cut with the claim of its process",
            Cut::ProcessEnded => "ended with its process",
        })
    }
}

/// What an outcome of an attempt means for the hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It goes on.
    Pending,
    /// It is over, and went well.
    Succeeded,
    /// It is over, and all attempts failed.
    Failed,
}

/// What happened to the child or request of an attempt.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Its exec succeeded.
    Spawned,
    /// It could not be executed.
    SpawnFailed(SpawnFailure),
    /// It ended.
    Exited(Exit),
    /// The request was answered; what went wrong, if anything.
    Responded(Result<(), String>),
}

impl Answer {
    /// There was no room for the child that would have asked.
    pub fn is_unasked(&self) -> bool {
        matches!(self, Answer::SpawnFailed(failure) if failure.is_before_fork())
    }

    /// What it says about what was asked; `None`: nothing yet.
    pub fn verdict(self) -> Option<Result<(), String>> {
        match self {
            Answer::Spawned => None,
            Answer::Exited(Exit::Code(0)) => Some(Ok(())),
            Answer::Exited(exit) => Some(Err(exit.to_string())),
            Answer::SpawnFailed(failure) => Some(Err(failure.to_string())),
            Answer::Responded(result) => Some(result),
        }
    }
}

impl HookRun {
    /// Begins the first attempt. `of` is whose hook it is; `latest` is when it is cut whatever its timeout says.
    pub fn begin(hook: Arc<Hook>, of: Arc<str>, latest: Mono, cx: &mut Context<'_>) -> HookRun {
        let mut hook_run = HookRun {
            hook,
            of,
            began: cx.now.mono,
            attempts: 0,
            why: None,
            latest,
            state: State::Done,
            ended: None,
        };
        hook_run.attempt(cx);
        hook_run
    }

    /// How long it took and what went wrong, once it is over.
    pub fn ended(&self) -> Option<&(Duration, Option<String>)> {
        self.ended.as_ref()
    }

    /// When its first attempt began.
    pub fn began(&self) -> Mono {
        self.began
    }

    /// The hook itself.
    pub fn hook(&self) -> &Hook {
        &self.hook
    }

    /// The run of the attempt in flight.
    pub fn run(&self) -> Option<RunId> {
        match self.state {
            State::Trying { run, .. } => Some(run),
            State::Waiting { .. } | State::Done => None,
        }
    }

    /// When it wants to be woken.
    pub fn deadline(&self) -> Mono {
        match self.state {
            State::Trying { until, .. } | State::Waiting { until, .. } => until,
            State::Done => Mono::NEVER,
        }
    }

    /// Takes what happened to the attempt in flight.
    pub fn answer(&mut self, answer: Answer, cx: &mut Context<'_>) -> Progress {
        match answer.verdict() {
            None => Progress::Pending,
            Some(Ok(())) => self.succeeded(cx),
            Some(Err(why)) => self.attempt_failed(why, cx),
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, cx: &mut Context<'_>) -> Progress {
        if cx.now.mono < self.deadline() {
            return Progress::Pending;
        }
        match self.state {
            State::Done => Progress::Pending,
            State::Trying { run, exec, .. } => {
                if exec {
                    cx.kill_remains(run);
                } else {
                    cx.forget(run);
                }
                let limit = cx.now.mono.since(self.began);
                self.attempt_failed(format!("cut after {}", super::time::Human(limit)), cx)
            }
            State::Waiting { then, .. } => match then {
                Then::Succeed => self.succeeded(cx),
                // The deadline has become an earlier one: an attempt now would be cut at once.
                Then::Retry if self.latest <= cx.now.mono => self.fail(cx),
                Then::Retry => {
                    self.attempt(cx);
                    Progress::Pending
                }
            },
        }
    }

    /// Ends it at once; nobody hears of that but the log. What runs gets TERM, and KILL a second later.
    pub fn cut(&mut self, by: Cut, cx: &mut Context<'_>) {
        if matches!(self.state, State::Done) {
            return;
        }
        if let State::Trying { run, exec, .. } = self.state {
            if exec {
                cx.end_remains(run);
            } else {
                cx.forget(run);
            }
        }
        let took = cx.now.mono.since(self.began);
        self.ended = Some((took, Some(by.to_string())));
        cx.fact(Fact::HookCut {
            of: Arc::clone(&self.of),
            hook: Arc::clone(&self.hook.name),
            by,
            attempts: self.attempts,
            took,
        });
        self.state = State::Done;
    }

    /// Lowers the instant at which it is cut.
    pub fn hasten(&mut self, latest: Mono) {
        self.latest = self.latest.min(latest);
        match &mut self.state {
            State::Trying { until, .. } | State::Waiting { until, .. } => {
                *until = (*until).min(latest);
            }
            State::Done => {}
        }
    }

    fn attempt(&mut self, cx: &mut Context<'_>) {
        self.attempts += 1;
        let until = (cx.now.mono + self.hook.timeout).min(self.latest);
        self.state = match &self.hook.action {
            HookAction::Exec { launch, label, log } => {
                let run = cx.new_run();
                cx.effect(Effect::Spawn {
                    run,
                    label: Arc::clone(label),
                    launch: Arc::clone(launch),
                    output: Output::Logged(Arc::clone(log)),
                });
                State::Trying {
                    run,
                    exec: true,
                    until,
                }
            }
            HookAction::Request(request) => {
                let run = cx.new_run();
                cx.effect(Effect::Request {
                    run,
                    request: Arc::clone(request),
                    timeout: until.since(cx.now.mono),
                });
                State::Trying {
                    run,
                    exec: false,
                    until,
                }
            }
            HookAction::Sleep(time) => State::Waiting {
                until: (cx.now.mono + *time).min(self.latest),
                then: Then::Succeed,
            },
        };
    }

    fn attempt_failed(&mut self, why: String, cx: &mut Context<'_>) -> Progress {
        self.why = Some(why);
        let next = cx.now.mono + self.hook.retry_delay;
        if self.attempts <= self.hook.retries && next < self.latest {
            self.state = State::Waiting {
                until: next,
                then: Then::Retry,
            };
            return Progress::Pending;
        }
        self.fail(cx)
    }

    fn fail(&mut self, cx: &mut Context<'_>) -> Progress {
        let why = self.why.take();
        self.report(why, cx);
        self.state = State::Done;
        Progress::Failed
    }

    fn succeeded(&mut self, cx: &mut Context<'_>) -> Progress {
        self.report(None, cx);
        self.state = State::Done;
        Progress::Succeeded
    }

    fn report(&mut self, failure: Option<String>, cx: &mut Context<'_>) {
        let took: Duration = cx.now.mono.since(self.began);
        self.ended = Some((took, failure.clone()));
        cx.fact(Fact::HookEnded {
            of: Arc::clone(&self.of),
            hook: Arc::clone(&self.hook.name),
            failure,
            attempts: self.attempts,
            took,
        });
    }
}
