//! One instance of a process, as a machine: what is wanted and what is observed are two values.
//!
//! [`phase`] has the phases, the stimuli and the table of what each stimulus does in each phase; [`machine`] carries the
//! reactions out; [`restart`] decides whether and when another run follows.

pub mod machine;
pub mod phase;
pub mod restart;
