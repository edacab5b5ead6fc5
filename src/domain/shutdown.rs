//! The stop: what it has to do ([`outline`]), when everything must be gone ([`deadline`]), what each stage may use of that
//! time ([`planner`]), and how it goes when nobody ends by itself ([`timeline`]).
//!
//! The running stop itself is in [`crate::domain::system`]: it asks these and moves the instances.

pub mod deadline;
pub mod fit;
pub mod outline;
pub mod planner;
pub mod report;
pub mod table;
pub mod timeline;
