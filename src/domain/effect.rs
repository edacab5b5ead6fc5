//! What to do: the engine carries these out, in order.

use std::sync::Arc;
use std::time::Duration;

use super::id::{Label, RunId};
use super::plan::{Launch, LogRule, ObjectVersion, Once, Output, Request, SignalTarget};
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
        /// Where its output goes.
        output: Output,
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
    /// Ask a server. Answered by `Responded` within the timeout.
    Request {
        /// Names the request.
        run: RunId,
        /// What.
        request: Arc<Request>,
        /// For the whole of it.
        timeout: Duration,
    },
    /// Send a signal to every child that is no run of ours, now and, until podinit ends, as soon as one turns up.
    /// Answered by `Childless` once podinit has no children at all.
    EndOrphans {
        /// What.
        signal: Signal,
    },
    /// Listen on this abstract Unix socket (its name without the `@`) for what processes report over the sd_notify
    /// protocol. Answered by `Notified` for each message of a run's session, and by `NotifyFailed` when it cannot be done.
    ListenNotify {
        /// The socket.
        socket: Arc<str>,
    },
    /// What a run writes is logged by another rule from now on. Not answered.
    Relog {
        /// Which run.
        run: RunId,
        /// Whose.
        label: Arc<Label>,
        /// By which.
        rule: Arc<LogRule>,
    },
    /// Ask whether this pod may run what runs in one pod of the set at a time. Answered by `Claim`, as often as there is
    /// news, until `ClaimEnded` or `Withdraw` and, after the former, once more.
    Claim {
        /// Names the claim.
        run: RunId,
        /// For what.
        once: Arc<Once>,
    },
    /// The run that was claimed has ended, with all its processes.
    ClaimEnded {
        /// Which claim.
        run: RunId,
        /// It needs not be run again.
        success: bool,
    },
    /// Nothing was run, and nothing will be. Not answered.
    Withdraw {
        /// Which claim.
        run: RunId,
    },
    /// Look whether the spec has changed. Answered by `Changed` or `ChangeRefused` if it has.
    Reload,
    /// The pod takes its turn with this version, which may end podinit itself.
    TryOut {
        /// Which.
        object: ObjectVersion,
        /// The pod was ready until then.
        was_ready: bool,
    },
    /// A stop has begun: nobody need look at the spec any more.
    Unfollow,
    /// Write a file of the state directory, replacing it at once as a whole. Not answered: where there is no such
    /// directory there is no such file.
    WriteState {
        /// Its path in that directory, such as `draining`.
        name: String,
        /// All of it.
        content: String,
    },
    /// The last deadline of the set has passed: from now on nothing waits for the output of logs (`Block` is `DropOldest`).
    /// Not answered.
    DropLogs,
    /// Write out what is logged, bounded by the outcome's `until`, and leave. The last effect.
    Exit(Outcome),
}
