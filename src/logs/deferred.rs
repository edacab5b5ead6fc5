//! The pipeline as the engine uses it: what it hands over in one turn wakes the threads once, at the end of that turn.

use std::sync::Arc;
use std::time::Duration;

use super::Pipeline;
use super::inbox::Command;
use crate::domain::id::{Label, RunId};
use crate::domain::plan::LogRule;
use crate::ports::{LogPipes, Logs, Record};

/// Hands over to a [`Pipeline`] without waking it; [`Logs::flush`] does. A thread that wakes up takes the processor, and
/// another one has to be woken for it: as much time as a process takes to end.
#[derive(Debug)]
pub struct Deferred(Arc<Pipeline>);

impl Deferred {
    /// Over this pipeline.
    pub fn new(pipeline: Arc<Pipeline>) -> Self {
        Deferred(pipeline)
    }

    fn hand_over(&self, command: Command) {
        // Refused only after the end.
        let _ = self.0.inbox.append(command);
    }
}

impl Logs for Deferred {
    fn open(&self, run: RunId, label: &Arc<Label>, rule: &Arc<LogRule>, pipes: LogPipes) {
        self.hand_over(Command::open(run, label, rule, pipes));
    }

    fn relog(&self, run: RunId, label: &Arc<Label>, rule: &Arc<LogRule>) {
        self.hand_over(Command::relog(run, label, rule));
    }

    fn close(&self, run: RunId) {
        self.hand_over(Command::Close(run));
    }

    fn record(&self, record: Record) {
        self.hand_over(Command::Record((self.0.clock)(), record));
    }

    /// Not put off: children wait.
    fn stop_blocking(&self) {
        self.0.stop_blocking();
    }

    fn flush(&self) {
        self.0.inbox.wake_for_what_waits();
    }

    fn last_lines(&self, label: &Label, bytes: usize) -> Vec<String> {
        self.0.last_lines(label, bytes)
    }

    fn finish(&self, limit: Duration) {
        self.0.finish(limit);
    }
}
