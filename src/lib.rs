//! podinit: PID 1 for Kubernetes pods that run more than one process.
//!
//! # Bird's-eye view
//!
//! A spec ([`spec`]) becomes a plan ([`domain::plan`]); the plan and everything that happens are fed to one pure state
//! machine ([`domain::system::System`]); the [`engine`] carries out what it decides through the adapters. Layers, from
//! the outside in:
//!
//! ```text
//! main -> cli -> app -> engine -> ports -> domain -> spec      adapters (sys, logs, probe, http, state, config, cluster) -> ports -> domain -> spec
//! ```
//!
//! # Threads
//!
//! | thread | runs | talks to |
//! |---|---|---|
//! | `core` (main) | the engine loop and the child table, on a current-thread runtime | takes signals, exits, timers and the mailbox |
//! | `loader` | reads and resolves the spec, makes directories; then waits for changes | events into the mailbox |
//! | `logs`, `logs-out` | read and frame the children's output; write it | a bounded command channel from the core |
//! | `edge` | requests of probes and hooks; started by the first one | events into the mailbox |
//! | `admin` | admin port, control socket | reads published snapshots; messages into the mailbox |
//! | `ready-file` | keeps the readiness file; only where one is wanted | reads published snapshots |
//! | `cluster` | the Kubernetes API; only with a ProcessSet of the API server | reads published snapshots; events into the mailbox, versions to the loader |
//! | `state` | writes files of the state directory; started by the first one | a bounded queue from the core |

pub mod spec;

pub mod domain;

pub mod ports;

pub mod cluster;
pub mod config;
pub mod http;
pub mod logs;
pub mod probe;
pub mod state;
pub mod sys;

pub mod engine;

pub mod app;
pub mod cli;
