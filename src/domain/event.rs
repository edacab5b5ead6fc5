//! What happened: the only thing that moves [`crate::domain::system::System`].

use std::sync::Arc;

use super::claim;
use super::exit::{Exit, SpawnFailure, Usage};
use super::id::RunId;
use super::plan::{ObjectVersion, Origin, Plan};
use super::signal::Signal;
use super::time::Mono;

/// Something that happened outside.
#[derive(Debug, Clone)]
pub enum Event {
    /// The last good spec of a set whose newest one was never good here: comes before that one, which is on trial then.
    LastGood(Arc<Plan>),
    /// The spec was read, resolved, and its directories made.
    Loaded(Arc<Plan>),
    /// There is nothing to run.
    LoadFailed(LoadFailure),
    /// podinit was sent a signal (never CHLD).
    Signal(Signal),
    /// Answers [`super::effect::Effect::Spawn`]: exec succeeded.
    Spawned {
        /// Which run.
        run: RunId,
        /// For people; nothing is decided by it.
        pid: u32,
    },
    /// Answers [`super::effect::Effect::Spawn`]: nothing runs.
    SpawnFailed {
        /// Which run.
        run: RunId,
        /// Where and why.
        failure: SpawnFailure,
    },
    /// The leader of a run ended. Always after `Spawned` of the same run.
    Exited {
        /// Which run.
        run: RunId,
        /// How.
        exit: Exit,
        /// What it used.
        usage: Usage,
        /// How many of its session are still there. 0: the session is empty, and no `SessionEmpty` follows.
        left: u32,
    },
    /// The last of what `Exited` found left is gone.
    SessionEmpty {
        /// Which run.
        run: RunId,
    },
    /// Answers [`super::effect::Effect::Request`].
    Responded {
        /// Which run.
        run: RunId,
        /// What went wrong, if anything.
        result: Result<(), String>,
    },
    /// What a child whose output is kept wrote, at most 1 KiB of it. Before its `Exited`, and only if it wrote something.
    Said {
        /// Which run.
        run: RunId,
        /// The beginning of it.
        text: String,
    },
    /// Something in a run's session sent a message over the sd_notify protocol.
    Notified {
        /// Which run.
        run: RunId,
        /// The message: lines `NAME=value`.
        text: String,
    },
    /// Answers [`super::effect::Effect::ListenNotify`]: nobody will be heard there.
    NotifyFailed {
        /// Why.
        why: String,
    },
    /// A stop was asked for otherwise than by a signal.
    StopRequested {
        /// By what, such as `podinit prestop`.
        by: &'static str,
    },
    /// The pod's own deadline is known, or has become an earlier one. Deadlines only shrink.
    DeadlineKnown {
        /// T: the kubelet's SIGKILL.
        end: Mono,
    },
    /// The spec has changed: this is the plan of the newer one.
    Changed(Arc<Plan>),
    /// The spec has changed, and the newer one cannot be had: nothing changes.
    ChangeRefused {
        /// Which, and why.
        refusal: Refusal,
    },
    /// The fleet's turn has come to this pod: it may act on the change that waits.
    Admitted {
        /// Which version of the spec.
        object: ObjectVersion,
    },
    /// Something became of a claim.
    Claim {
        /// Which.
        run: RunId,
        /// What.
        news: claim::News,
    },
    /// These containers of the pod are native sidecars (init containers with restartPolicy Always). May come at any time.
    NativeSidecars {
        /// Their names.
        names: Vec<String>,
    },
    /// Answers [`super::effect::Effect::EndOrphans`]: podinit has no child of any kind.
    Childless,
    /// So many processes that nobody started by name were reaped in this turn.
    OrphansReaped(u32),
    /// The instant of `next_deadline` has come.
    Tick,
}

/// Why a newer spec is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Where it came from.
    pub origin: Origin,
    /// In one word, as the reason of a condition: `Invalid`, `RevisionMismatch`, ...
    pub reason: &'static str,
    /// What is wrong, whole; several lines where there are several problems.
    pub message: String,
}

impl Refusal {
    /// The reason of one that was taken, and under which the pod was not ready in time.
    pub const PROGRESS_DEADLINE: &'static str = "ProgressDeadlineExceeded";
    /// The reason of one that was taken, and under which podinit ended before the pod was ready.
    pub const CONTAINER_ENDED: &'static str = "ContainerEnded";
    /// The reason of one that was taken by a pod that was not ready before either: it may not be the spec's fault.
    pub const WAS_NOT_READY: &'static str = "WasNotReady";
    /// Of these the pod will have nothing any more, however often it is told of them.
    pub const WENT_BACK: [&'static str; 3] = [
        Self::PROGRESS_DEADLINE,
        Self::CONTAINER_ENDED,
        Self::WAS_NOT_READY,
    ];
}

/// Why there is nothing to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadFailure {
    /// The exit code: 65 for a spec that is invalid or missing, 76 for a directory that could not be made.
    pub code: u8,
    /// What went wrong, whole; several lines where there are several problems.
    pub message: String,
}
