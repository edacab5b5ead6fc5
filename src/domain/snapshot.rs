//! What the set looks like at a moment, for whoever asks. Published once a turn; shares what did not change.

use std::sync::Arc;

use super::event::Refusal;
use super::id::Label;
use super::plan::{Kind, ObjectVersion, Origin, Rollout, Traffic};
use super::process::phase::{PhaseKind, RunEnd, StopReason};
use super::sidecar::State as SidecarState;
use super::time::Wall;

/// The whole set.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// A plan is in force.
    pub loaded: bool,
    /// Init processes are done and every Serving process has Started; once true it stays so.
    pub started: bool,
    /// Every instance of every Serving process is ready, nothing marks the pod unready, and no stop has begun.
    pub ready: bool,
    /// A stop has begun, and why.
    pub stopping: Option<Arc<str>>,
    /// podinit leaves.
    pub gone: bool,
    /// Which spec is in force, and what becomes of a newer one.
    pub spec: SpecView,
    /// The sidecars that the start waits for, in the order of the plan.
    pub sidecars: Vec<SidecarView>,
    /// Some sidecar is told to quit when the set ends by itself, unless Kubernetes ends it.
    pub quits: bool,
    /// Init processes, then processes, in the order of the plan.
    pub processes: Vec<Arc<ProcessView>>,
}

/// A sidecar that the start waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SidecarView {
    /// Its name.
    pub name: Arc<str>,
    /// Whether it is ready.
    pub state: SidecarState,
    /// What it last said when it is not.
    pub message: Option<Arc<str>>,
}

/// Which spec is in force, and what becomes of a newer one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpecView {
    /// Where the spec in force came from.
    pub origin: Origin,
    /// How a fleet takes a change of it.
    pub rollout: Rollout,
    /// A newer one that waits for its turn in the fleet.
    pub waits: Option<ObjectVersion>,
    /// That one was refused before, so the pods of the set may have had their turns without this one.
    pub late: bool,
    /// A newer one that was refused, or taken back.
    pub refused: Option<Arc<Refusal>>,
    /// A change is being carried out.
    pub changing: bool,
    /// The pod was ready under the spec in force.
    pub good: bool,
}

/// How a run ended.
#[derive(Debug, Clone, Copy)]
pub struct LastRun {
    /// What ended it.
    pub how: RunEnd,
    /// It had been stopped, and why.
    pub why: Option<StopReason>,
    /// When.
    pub at: Wall,
}

/// One process.
#[derive(Debug, Clone)]
pub struct ProcessView {
    /// Its name.
    pub name: Arc<str>,
    /// Init process or process.
    pub kind: Kind,
    /// Serving or Background.
    pub traffic: Traffic,
    /// Failed for good in a way that makes the pod unready, and why.
    pub marks_unready: Option<Arc<str>>,
    /// Its instances; none when replicas is 0.
    pub instances: Vec<InstanceView>,
}

/// One instance.
#[derive(Debug, Clone)]
pub struct InstanceView {
    /// What logs and reports call it.
    pub label: Arc<Label>,
    /// Where it is.
    pub phase: PhaseKind,
    /// Its exec succeeded, and its startup probe passed if it has one; what has completed counts as started.
    pub started: bool,
    /// Ready now; what has completed counts as ready.
    pub ready: bool,
    /// Runs before the present one.
    pub restarts: u64,
    /// How its last run ended that did.
    pub last: Option<LastRun>,
    /// Why it is not ready, or what it says of itself (sd_notify's STATUS).
    pub message: Option<Arc<str>>,
}
