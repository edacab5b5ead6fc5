//! The pure core: what to do, given what happened. No I/O, no async, no clock, no randomness, no environment, no logging.
//!
//! Read in this order: the vocabulary ([`id`], [`time`], [`signal`], [`exit`], [`plan`], [`event`], [`effect`], [`fact`]),
//! then the machine of one instance ([`process`]), the stop ([`shutdown`]) and [`system`], which holds them together.

pub mod exit;
pub mod id;
pub mod signal;
pub mod snapshot;
pub mod time;

pub mod plan;

pub mod hash;

pub mod claim;
pub mod election;
pub mod rollout;

pub mod effect;
pub mod event;
pub mod fact;

pub mod health;
pub mod hook;
pub mod process;
pub mod shutdown;
pub mod sidecar;
pub mod system;
