//! `spec.revision`: old images never run new specs.

/// The revision of the image that a pod runs.
pub const VARIABLE: &str = "PODINIT_REVISION";
/// Why a spec is not taken, in one word.
pub const MISMATCH: &str = "RevisionMismatch";

/// Whether a pod of this revision takes a spec of that one; an error says why not. A pod or a spec without a revision
/// takes part in nothing of this.
pub fn check(spec: Option<&str>, pod: Option<&str>) -> Result<(), String> {
    match (spec, pod) {
        (Some(spec), Some(pod)) if spec != pod => Err(format!(
            "the spec is for revision `{spec}`, and this pod is of revision `{pod}` ({VARIABLE})"
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_two_revisions_that_differ_keep_a_spec_out() {
        for (spec, pod, taken) in [
            (None, None, true),
            (Some("a"), None, true),
            (None, Some("a"), true),
            (Some("a"), Some("a"), true),
            (Some("a"), Some("b"), false),
        ] {
            assert_eq!(check(spec, pod).is_ok(), taken, "{spec:?} {pod:?}");
        }
    }
}
