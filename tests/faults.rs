//! What fails around podinit: it goes on, says so, and leaves on time; and what is not its own it never touches.

#![allow(
    missing_docs,
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    clippy::format_push_string,
    reason = "a test is at the edge"
)]

mod support;

#[path = "support/bare.rs"]
mod bare;
#[path = "support/cgroup.rs"]
mod cgroup;

#[path = "faults/limits.rs"]
mod limits;
#[path = "faults/starts.rs"]
mod starts;
#[path = "faults/strangers.rs"]
mod strangers;
#[path = "faults/stuck.rs"]
mod stuck;
