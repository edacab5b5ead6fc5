//! The stop: when everything must be gone ([`deadline`]), what each stage may use of that time ([`planner`]).
//!
//! The running stop itself is in [`crate::domain::system`]: it asks these two and moves the instances.

pub mod deadline;
pub mod planner;
pub mod report;
