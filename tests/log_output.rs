//! Children's output through the real binary: whole lines, in each format; and an output that is blocked, full, closed or
//! gone is a matter of logs only.

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

#[path = "log_output/blocked.rs"]
mod blocked;
#[path = "log_output/broken.rs"]
mod broken;
#[path = "log_output/lines.rs"]
mod lines;
