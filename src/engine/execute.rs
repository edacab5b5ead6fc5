//! Effects into calls of the adapters. Nothing here waits.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::domain::effect::Effect;
use crate::domain::event::Event;
use crate::domain::id::{Label, RunId};
use crate::domain::plan::{Launch, Output, SignalTarget};
use crate::domain::signal::Signal;
use crate::domain::system::Outcome;
use crate::ports::{Children, Logs, Outside, Stdio};

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
pub struct Executor<C, L, O> {
    children: C,
    logs: Arc<L>,
    outside: O,
    live: BTreeSet<RunId>,
}

impl<C: Children, L: Logs, O: Outside> Executor<C, L, O> {
    /// An executor with no child yet.
    pub fn new(children: C, logs: Arc<L>, outside: O) -> Self {
        Executor {
            children,
            logs,
            outside,
            live: BTreeSet::new(),
        }
    }

    /// The children.
    pub fn children(&mut self) -> &mut C {
        &mut self.children
    }

    /// The other adapters.
    pub fn outside(&mut self) -> &mut O {
        &mut self.outside
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
                output,
            } => self.spawn(run, &label, &launch, output),
            Effect::Signal {
                run,
                signal,
                target,
            } => {
                self.children.signal(run, signal, target);
                Executed::Started
            }
            Effect::Request {
                run,
                request,
                timeout,
            } => {
                self.outside.ask(run, request, timeout);
                Executed::Started
            }
            Effect::ListenNotify { socket } => match self.children.listen_notify(&socket) {
                Ok(()) => Executed::Started,
                Err(error) => Executed::Answered(Event::NotifyFailed {
                    why: error.to_string(),
                }),
            },
            Effect::Relog { run, label, rule } => {
                self.logs.relog(run, &label, &rule);
                Executed::Started
            }
            Effect::DropLogs => {
                self.logs.stop_blocking();
                Executed::Started
            }
            Effect::Claim { run, once } => {
                self.outside.claim(run, once);
                Executed::Started
            }
            Effect::ClaimEnded { run, success } => {
                self.outside.ended(run, success);
                Executed::Started
            }
            Effect::Withdraw { run } => {
                self.outside.withdraw(run);
                Executed::Started
            }
            Effect::Reload => {
                self.outside.reload();
                Executed::Started
            }
            Effect::TryOut { object, was_ready } => {
                self.outside.try_out(object, was_ready);
                Executed::Started
            }
            Effect::Unfollow => {
                self.outside.unfollow();
                Executed::Started
            }
            Effect::WriteState { name, content } => {
                self.outside.write(name, content);
                Executed::Started
            }
            Effect::EndOrphans { signal } => {
                self.children.end_orphans(signal);
                Executed::Started
            }
            Effect::Exit(outcome) => Executed::Exit(outcome),
        }
    }

    fn spawn(
        &mut self,
        run: RunId,
        label: &Arc<Label>,
        launch: &Launch,
        output: Output,
    ) -> Executed {
        let stdio = match output {
            Output::Logged(_) => Stdio::Logged,
            Output::Inherited => Stdio::Inherited,
            Output::Kept => Stdio::Kept,
        };
        match self.children.spawn(run, launch, stdio) {
            Ok(pipes) => {
                self.live.insert(run);
                if let (Some(pipes), Output::Logged(rule)) = (pipes, output) {
                    self.logs.open(run, label, &rule, pipes);
                }
                Executed::Started
            }
            Err(failure) => Executed::Answered(Event::SpawnFailed { run, failure }),
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
