//! What became of a stop: who was asked when, what each took, what was cut. Times count from t0.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::id::Label;
use crate::domain::plan::{GraceSource, Traffic};
use crate::domain::process::phase::RunEnd;
use crate::domain::signal::Signal;

/// A stop, from t0 to its end.
#[derive(Debug, Clone, PartialEq)]
pub struct StopReport {
    /// Why the set stopped.
    pub why: String,
    /// podinit's exit code.
    pub code: u8,
    /// G, as it was at t0.
    pub grace: Duration,
    /// Where G came from.
    pub source: GraceSource,
    /// T_kill - t0, as it was in the end.
    pub budget: Duration,
    /// The deadline became an earlier one during the stop.
    pub shortened: bool,
    /// The claims of all did not fit into the budget.
    pub claims_cut: bool,
    /// Time used, all in all.
    pub used: Duration,
    /// The drain, if there was one.
    pub drain: Option<DrainReport>,
    /// Hooks of the set, in their order.
    pub hooks: Vec<HookReport>,
    /// Instances that had anything to stop, in the order of the plan.
    pub instances: Vec<InstanceReport>,
}

/// The drain of a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainReport {
    /// As the spec says.
    pub planned: Duration,
    /// As it was. Less when nobody was left to serve.
    pub took: Duration,
    /// The budget did not allow all of it.
    pub cut: bool,
}

/// A hook of the set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookReport {
    /// Its name.
    pub name: Arc<str>,
    /// When it began.
    pub began: Duration,
    /// For how long.
    pub took: Duration,
    /// What went wrong, if anything.
    pub failure: Option<String>,
}

/// An instance.
#[derive(Debug, Clone, PartialEq)]
pub struct InstanceReport {
    /// What logs call it.
    pub label: Arc<Label>,
    /// Serving or Background.
    pub traffic: Traffic,
    /// Its stop signal.
    pub signal: Signal,
    /// Its turn came: its preStop hook began, or the signal was sent.
    pub asked: Option<Duration>,
    /// Its stop signal was sent.
    pub signalled: Option<Duration>,
    /// It was sent KILL.
    pub killed: Option<Duration>,
    /// That KILL was the deadline's, not its own grace period's.
    pub by_deadline: bool,
    /// Its first process ended.
    pub exited: Option<Duration>,
    /// Nothing of it was left.
    pub gone: Option<Duration>,
    /// How it ended.
    pub how: Option<RunEnd>,
}

impl InstanceReport {
    /// From its turn to its end.
    pub fn took(&self) -> Option<Duration> {
        let end = self.gone.or(self.exited)?;
        Some(end.saturating_sub(self.asked?))
    }

    /// It outlived KILL.
    pub fn is_stuck(&self) -> bool {
        self.killed.is_some() && self.gone.is_none()
    }
}
