//! `podinit -- CMD ARGS`: one process, as transparently as tini and dumb-init run it, with a deadline.

#![allow(
    missing_docs,
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test is at the edge"
)]

mod support;

#[path = "support/bare.rs"]
mod bare;
#[path = "support/pty.rs"]
mod pty;

#[path = "command_mode/codes.rs"]
mod codes;
#[path = "command_mode/signals.rs"]
mod signals;
#[path = "command_mode/surroundings.rs"]
mod surroundings;
#[path = "command_mode/terminal.rs"]
mod terminal;

use support::As;

/// Both ways to be started.
const MODES: [As; 2] = [As::Pid1, As::PlainChild];
