//! Sidecars, resolved: what they are asked, for how long, and how they are told to quit.

use std::sync::Arc;
use std::time::Duration;

use super::{Probe, Request};
use crate::domain::id::Label;

/// A container beside ours. podinit neither starts nor stops it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sidecar {
    /// What logs call it: its name, twice.
    pub label: Arc<Label>,
    /// Says when it is ready; `None`: nobody waits for it.
    pub probe: Option<Arc<Probe>>,
    /// What follows when it is not ready in time.
    pub on_timeout: OnTimeout,
    /// Sent when the set ended by itself; `None`: it is left alone.
    pub quit: Option<Arc<Request>>,
}

/// What follows when a sidecar is not ready in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OnTimeout {
    /// podinit ends with 69.
    Fail,
    /// The set starts anyway.
    Start,
}

impl Probe {
    /// For so long, from its beginning on, it is worth asking: failureThreshold periods after the initial delay.
    pub fn limit(&self) -> Duration {
        let checks = self.period.saturating_mul(self.failure_threshold);
        self.initial_delay.saturating_add(checks)
    }
}
