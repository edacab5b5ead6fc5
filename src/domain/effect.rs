//! What to do: the engine carries these out, in order.

use std::sync::Arc;
use std::time::Duration;

use super::id::{Label, RunId};
use super::plan::{HttpGet, Launch, LogRule, SignalTarget};
use super::signal::Signal;
use super::system::Outcome;

/// Something to do outside.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Start a child. Answered by `Spawned` or `SpawnFailed`; after `Spawned` follow `Exited` and, unless that found
    /// the session empty, `SessionEmpty`.
    Spawn {
        /// Names the run from now on.
        run: RunId,
        /// What logs call it.
        label: Arc<Label>,
        /// What is executed.
        launch: Arc<Launch>,
        /// How its output is logged; `None`: it gets podinit's own streams and terminal.
        log: Option<Arc<LogRule>>,
    },
    /// Send a signal to a run. Not answered: whom it ends answers by `Exited`, and who is gone already has.
    Signal {
        /// Which run.
        run: RunId,
        /// What.
        signal: Signal,
        /// To whom.
        target: SignalTarget,
    },
    /// Make a request. Answered by `HttpDone` within the timeout.
    Http {
        /// Names the request.
        run: RunId,
        /// What.
        request: Arc<HttpGet>,
        /// For the whole of it.
        timeout: Duration,
    },
    /// Send a signal to every child that is no run of ours, now and, until podinit ends, as soon as one turns up.
    /// Answered by `Childless` once podinit has no children at all.
    EndOrphans {
        /// What.
        signal: Signal,
    },
    /// Write out what is logged, bounded by the outcome's `until`, and leave. The last effect.
    Exit(Outcome),
}
