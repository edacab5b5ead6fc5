//! The child table on real processes. Each scenario is a process of its own, a subreaper; some are PID 1 of a PID
//! namespace. They need root; what each needs besides is said where it fails.

#![allow(
    unsafe_code,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    clippy::exit,
    reason = "tests act at the edge"
)]

use std::process::ExitCode;

#[path = "support/kit.rs"]
mod kit;
#[path = "support/scenario.rs"]
mod scenario;

#[path = "sys_children/commands.rs"]
mod commands;
#[path = "sys_children/kept.rs"]
mod kept;
#[path = "sys_children/notify.rs"]
mod notify;
#[path = "sys_children/places.rs"]
mod places;
#[path = "sys_children/reaping.rs"]
mod reaping;
#[path = "sys_children/refusals.rs"]
mod refusals;
#[path = "sys_children/sessions.rs"]
mod sessions;
#[path = "sys_children/signalling.rs"]
mod signalling;
#[path = "sys_children/spawning.rs"]
mod spawning;

fn main() -> ExitCode {
    let groups = [
        reaping::ALL,
        sessions::ALL,
        signalling::ALL,
        spawning::ALL,
        refusals::ALL,
        commands::ALL,
        places::ALL,
        kept::ALL,
        notify::ALL,
    ];
    scenario::run(&groups.concat())
}
