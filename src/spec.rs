//! WIRE: the ProcessSet and ProcessReport API (`podinit.dev/v1alpha1`), as types, as schema and as YAML.
//!
//! Nothing here reads a file, a clock or the environment: text comes in as an argument, types and problems go out.
//! [`load`] is the way in; [`v1alpha1`] is what comes out.

mod load;

pub mod check;
mod de;
mod json;
mod nearest;
pub mod node;
mod overrides;
pub mod problem;
mod prune;
pub mod schema;
pub mod units;
pub mod v1alpha1;
pub mod yaml;

pub use load::{API_VERSION, KIND, Loaded, load, load_object};
pub use problem::{FieldPath, Position, Problem, Severity, nearest};
