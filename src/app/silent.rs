//! Logs in `--` mode: there are none. The child has podinit's own streams, and podinit says nothing between its lines.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::id::{Label, RunId};
use crate::domain::plan::LogRule;
use crate::ports::{LogPipes, Logs, Record};

/// Takes everything, keeps nothing.
#[derive(Debug)]
pub(super) struct Silent;

impl Logs for Silent {
    fn relog(&self, _: RunId, _: &Arc<Label>, _: &Arc<LogRule>) {}

    fn open(&self, _: RunId, _: &Arc<Label>, _: &Arc<LogRule>, _: LogPipes) {}

    fn close(&self, _: RunId) {}

    fn record(&self, _: Record) {}

    fn flush(&self) {}

    fn last_lines(&self, _: &Label, _: usize) -> Vec<String> {
        Vec::new()
    }

    fn stop_blocking(&self) {}

    fn finish(&self, _: Duration) {}
}
