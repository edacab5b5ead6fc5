//! What is wrong with a spec whatever the machine.

use crate::spec::problem::Problem;
use crate::spec::v1alpha1::ProcessSetSpec;

/// Every problem at once.
pub fn validate(_spec: &ProcessSetSpec) -> Vec<Problem> {
    Vec::new()
}
