//! The whole set as one machine.

use std::sync::Arc;

use super::id::Label;
use super::time::Mono;

/// How it all ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// podinit's exit code.
    pub code: u8,
    /// In words, for the termination message.
    pub reason: String,
    /// Whose last lines belong to it.
    pub about: Option<Arc<Label>>,
    /// Logs may be written out until then.
    pub until: Mono,
}
