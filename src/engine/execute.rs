//! Effects into calls of the adapters. Nothing here waits.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::domain::effect::Effect;
use crate::domain::event::Event;
use crate::domain::id::RunId;
use crate::domain::plan::SignalTarget;
use crate::domain::signal::Signal;
use crate::domain::system::Outcome;
use crate::ports::{Children, Logs, Requests, Stdio};

/// What became of an effect.
#[derive(Debug)]
pub enum Executed {
    /// The answer, if there is one, comes as an event.
    Started,
    /// The answer is there.
    Answered(Event),
    /// It was the last one.
    Exit(Outcome),
}

/// The adapters.
#[derive(Debug)]
pub struct Executor<C, L, R> {
    children: C,
    logs: Arc<L>,
    requests: R,
    live: BTreeSet<RunId>,
}

impl<C: Children, L: Logs, R: Requests> Executor<C, L, R> {
    /// An executor with no child yet.
    pub fn new(children: C, logs: Arc<L>, requests: R) -> Self {
        Executor {
            children,
            logs,
            requests,
            live: BTreeSet::new(),
        }
    }

    /// The children.
    pub fn children(&mut self) -> &mut C {
        &mut self.children
    }

    /// The logs.
    pub fn logs(&self) -> Arc<L> {
        Arc::clone(&self.logs)
    }

    /// The run that an event ends for good.
    pub fn over(event: &Event) -> Option<RunId> {
        match event {
            Event::Exited { run, left: 0, .. }
            | Event::SessionEmpty { run }
            | Event::SpawnFailed { run, .. } => Some(*run),
            _ => None,
        }
    }

    /// A run that is over has nothing more to log than its pipes hold.
    pub fn close(&mut self, run: RunId) {
        if self.live.remove(&run) {
            self.logs.close(run);
        }
    }

    /// Carries an effect out, or starts to.
    pub fn start(&mut self, effect: Effect) -> Executed {
        match effect {
            Effect::Spawn {
                run,
                label,
                launch,
                log,
            } => {
                let stdio = match log {
                    Some(_) => Stdio::Logged,
                    None => Stdio::Inherited,
                };
                match self.children.spawn(run, &launch, stdio) {
                    Ok(pipes) => {
                        self.live.insert(run);
                        if let (Some(pipes), Some(rule)) = (pipes, log) {
                            self.logs.open(run, &label, &rule, pipes);
                        }
                        Executed::Started
                    }
                    Err(failure) => Executed::Answered(Event::SpawnFailed { run, failure }),
                }
            }
            Effect::Signal {
                run,
                signal,
                target,
            } => {
                self.children.signal(run, signal, target);
                Executed::Started
            }
            Effect::Http {
                run,
                request,
                timeout,
            } => {
                self.requests.get(run, request, timeout);
                Executed::Started
            }
            Effect::EndOrphans { signal } => {
                self.children.end_orphans(signal);
                Executed::Started
            }
            Effect::Exit(outcome) => Executed::Exit(outcome),
        }
    }

    /// TERM to every leader.
    pub fn terminate_all(&mut self) {
        for run in &self.live {
            self.children
                .signal(*run, Signal::TERM, SignalTarget::Leader);
        }
        self.children.end_orphans(Signal::TERM);
    }

    /// KILL to everything that is left.
    pub fn kill_all(&mut self) {
        for run in &self.live {
            self.children
                .signal(*run, Signal::KILL, SignalTarget::Group);
            self.children
                .signal(*run, Signal::KILL, SignalTarget::Session);
        }
        self.children.end_orphans(Signal::KILL);
    }
}
