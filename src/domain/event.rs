//! What happened: the only thing that moves [`crate::domain::system::System`].

use std::sync::Arc;

use super::exit::{Exit, SpawnFailure, Usage};
use super::id::RunId;
use super::plan::Plan;
use super::signal::Signal;

/// Something that happened outside.
#[derive(Debug, Clone)]
pub enum Event {
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
    /// Answers [`super::effect::Effect::Http`].
    HttpDone {
        /// Which run.
        run: RunId,
        /// The status code, or what went wrong.
        result: Result<u16, String>,
    },
    /// Answers [`super::effect::Effect::EndOrphans`]: podinit has no child of any kind.
    Childless,
    /// So many processes that nobody started by name were reaped in this turn.
    OrphansReaped(u32),
    /// The instant of `next_deadline` has come.
    Tick,
}

/// Why there is nothing to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadFailure {
    /// The exit code: 65 for a spec that is invalid or missing, 76 for a directory that could not be made.
    pub code: u8,
    /// What went wrong, whole; several lines where there are several problems.
    pub message: String,
}
