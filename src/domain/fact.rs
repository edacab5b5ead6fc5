//! What an observer would want to know, said once. Log records derive from facts; later metrics, Events and status too.

use std::sync::Arc;
use std::time::Duration;

use super::event::Refusal;
use super::exit::{Exit, SpawnFailure, Usage};
use super::hook::Cut;
use super::id::Label;
use super::plan::{GraceSource, OnTimeout, Origin, ProbeKind, SignalTarget};
use super::process::phase::RunEnd;
use super::shutdown::report::StopReport;
use super::signal::Signal;

/// Something that happened in the set.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// A plan is in force.
    PlanAccepted {
        /// The ProcessSet's name.
        name: Arc<str>,
        /// Where the spec came from.
        origin: Origin,
        /// Init processes and processes in it.
        processes: usize,
    },
    /// A newer spec is in force.
    ChangeApplied {
        /// Where it came from.
        origin: Origin,
        /// What it changes, in words.
        what: String,
        /// Some run ends because of it.
        stops_runs: bool,
    },
    /// A newer spec waits.
    ChangeWaits {
        /// Where it came from.
        origin: Origin,
        /// For what.
        why: &'static str,
    },
    /// A newer spec was refused: nothing changes.
    ChangeRefused(Refusal),
    /// Everything a change asked for has been done.
    ChangeDone {
        /// Since it was applied.
        took: Duration,
    },
    /// The pod was not ready in time under a newer spec: it goes back to its last good one.
    ChangeReverted {
        /// Where the bad one came from.
        origin: Origin,
        /// How long it had.
        limit: Duration,
    },
    /// A sidecar is ready.
    SidecarReady {
        /// Which.
        label: Arc<Label>,
        /// Since the wait began.
        took: Duration,
    },
    /// The set still waits for a sidecar.
    SidecarStillWaiting {
        /// Which.
        label: Arc<Label>,
        /// What it last said; `None`: nothing.
        why: Option<Arc<str>>,
    },
    /// A sidecar was not ready in time.
    SidecarTimedOut {
        /// Which.
        label: Arc<Label>,
        /// What follows.
        then: OnTimeout,
        /// Since the wait began.
        took: Duration,
        /// What it last said.
        why: Arc<str>,
    },
    /// A sidecar was told to quit.
    SidecarQuit {
        /// Which.
        label: Arc<Label>,
        /// Why that is not confirmed; `None`: it is.
        failure: Option<String>,
    },
    /// A sidecar that was to be told to quit is a native one: Kubernetes ends it.
    SidecarIsNative {
        /// Which.
        label: Arc<Label>,
    },
    /// A signal that has no meaning (yet) came.
    SignalIgnored {
        /// Which.
        signal: Signal,
        /// Why nothing happens.
        why: &'static str,
    },
    /// A run of an instance began.
    Started {
        /// Whose.
        label: Arc<Label>,
        /// Its process id.
        pid: u32,
        /// Runs before this one.
        restarts: u64,
    },
    /// Nothing could be executed.
    SpawnFailed {
        /// Whose.
        label: Arc<Label>,
        /// Where and why.
        failure: SpawnFailure,
    },
    /// A run of an instance ended.
    Exited {
        /// Whose.
        label: Arc<Label>,
        /// Its process id.
        pid: u32,
        /// How.
        exit: Exit,
        /// As it should: one of its successExitCodes, or asked to end.
        success: bool,
        /// How long it lived.
        lived: Duration,
        /// What it used.
        usage: Usage,
        /// Who of its session was still there.
        left: u32,
    },
    /// Another run follows.
    RestartScheduled {
        /// Whose.
        label: Arc<Label>,
        /// In what time.
        delay: Duration,
        /// Restarts since the last reset of the backoff, this one included.
        attempt: u32,
        /// How the last one ended.
        after: RunEnd,
    },
    /// What runs once over all pods has been run by another one.
    DoneElsewhere {
        /// Which.
        label: Arc<Label>,
    },
    /// The claim of what runs in one pod at a time could not be renewed: the run is stopped.
    ClaimLost {
        /// Whose.
        label: Arc<Label>,
    },
    /// It succeeded, and that could not be written before another pod claimed it: it runs again there.
    ClaimUnrecorded {
        /// Which.
        label: Arc<Label>,
    },
    /// An instance ended for good, as it should.
    Completed {
        /// Whose.
        label: Arc<Label>,
    },
    /// An instance failed for good.
    FailedForGood {
        /// Whose.
        label: Arc<Label>,
        /// In words.
        why: String,
    },
    /// An instance still waits for others.
    StillWaiting {
        /// Whose.
        label: Arc<Label>,
        /// For whom and what.
        on: String,
    },
    /// A run passed its activeDeadlineSeconds and is stopped.
    ActiveDeadlineExceeded {
        /// Whose.
        label: Arc<Label>,
        /// The limit.
        limit: Duration,
    },
    /// A check of a probe failed that had passed before, or the first one did.
    ProbeFailing {
        /// Whose.
        label: Arc<Label>,
        /// Which probe.
        probe: ProbeKind,
        /// What it said.
        why: Arc<str>,
    },
    /// An instance became ready whose startup or readiness probe decides that.
    BecameReady {
        /// Whose.
        label: Arc<Label>,
        /// Since its run began.
        took: Duration,
    },
    /// An instance is not ready any more.
    BecameUnready {
        /// Whose.
        label: Arc<Label>,
        /// What the last check said.
        why: Arc<str>,
        /// How many failed in a row; 0: the process said so itself.
        failures: u32,
    },
    /// A startup or liveness probe failed: the run is replaced.
    Unhealthy {
        /// Whose.
        label: Arc<Label>,
        /// Which probe.
        probe: ProbeKind,
        /// What the last check said.
        why: Arc<str>,
        /// How many failed in a row.
        failures: u32,
    },
    /// Nobody is heard over the sd_notify protocol.
    NotifyFailed {
        /// Why.
        why: String,
    },
    /// A stop signal was sent.
    StopSignalled {
        /// Whose.
        label: Arc<Label>,
        /// Which.
        signal: Signal,
        /// To whom.
        target: SignalTarget,
        /// Time until KILL.
        grace: Duration,
    },
    /// KILL was sent.
    Killed {
        /// Whose.
        label: Arc<Label>,
        /// The set's deadline forced it, not the process's own grace.
        by_deadline: bool,
    },
    /// What a run left behind was sent a signal.
    LeftoversSignalled {
        /// Whose.
        label: Arc<Label>,
        /// Which.
        signal: Signal,
    },
    /// A process outlived KILL.
    Stuck {
        /// Whose.
        label: Arc<Label>,
    },
    /// A hook ended.
    HookEnded {
        /// Whose: the set's name, or the instance's.
        of: Arc<str>,
        /// Which hook.
        hook: Arc<str>,
        /// What went wrong; `None`: it succeeded.
        failure: Option<String>,
        /// Attempts made.
        attempts: u32,
        /// For how long, all attempts.
        took: Duration,
    },
    /// A hook was ended before it had done its work.
    HookCut {
        /// Whose: the set's name, or the instance's.
        of: Arc<str>,
        /// Which hook.
        hook: Arc<str>,
        /// By what.
        by: Cut,
        /// Attempts made.
        attempts: u32,
        /// For how long, all attempts.
        took: Duration,
    },
    /// Every instance has started.
    AllStarted {
        /// Since podinit began.
        took: Duration,
    },
    /// A stop began.
    StopRequested {
        /// In words.
        why: String,
        /// The grace period.
        grace: Duration,
        /// Where it came from.
        source: GraceSource,
        /// Time until everything must be gone.
        budget: Duration,
        /// The claims of all do not fit into it and were shortened.
        shrunk: bool,
        /// For so long the pod goes on serving.
        drain: Duration,
    },
    /// The set's deadline has become an earlier one.
    DeadlineShortened {
        /// Time from t0 until everything must be gone.
        budget: Duration,
        /// The claims of all do not fit into it and were shortened.
        shrunk: bool,
    },
    /// What became of a stop.
    StopReported(Arc<StopReport>),
    /// A repeated stop request changes nothing.
    StopRepeated {
        /// Which signal.
        signal: Signal,
    },
    /// Everything left is killed at once.
    Hurried,
    /// The end.
    Finished {
        /// podinit's exit code.
        code: u8,
        /// In words.
        reason: String,
        /// Time used since the stop began; zero when the set ended by itself.
        used: Duration,
        /// Processes reaped that nobody had started by name.
        orphans: u64,
        /// Runs of processes and hooks that began.
        runs: u64,
        /// Ends of those that were counted.
        exits: u64,
    },
}
