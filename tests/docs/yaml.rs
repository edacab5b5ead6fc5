//! YAML of a page: a ProcessSet, a part of one, or objects of Kubernetes.

use std::process::{Command, Stdio};

use serde_json::Value;

/// What `podinit check` has to say to a ProcessSet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Good,
    /// A warning.
    Warns,
    /// An error.
    Invalid,
}

/// Checks a block.
///
/// What has no `apiVersion` is taken for the body of a `spec`, and gets a process if it has none.
pub fn check(place: &str, text: &str, verdict: Verdict) {
    if text.contains("\nkind: ProcessSet\n") {
        return check_set(place, text, verdict);
    }
    if !text.contains("apiVersion:") {
        return check_set(place, &whole(text), verdict);
    }
    for document in text.split("\n---\n") {
        let object: Value = serde_yaml::from_str(document)
            .unwrap_or_else(|error| panic!("{place}: no YAML: {error}\n{document}"));
        for key in ["apiVersion", "kind", "metadata"] {
            assert!(
                object.get(key).is_some(),
                "{place}: an object without {key}"
            );
        }
        let data = object.get("data").and_then(Value::as_object);
        for file in data
            .into_iter()
            .flatten()
            .filter_map(|(_, file)| file.as_str())
        {
            if file.contains("kind: ProcessSet") {
                check_set(place, file, Verdict::Good);
            }
        }
    }
}

fn whole(spec: &str) -> String {
    let mut text = "apiVersion: podinit.dev/v1alpha1\nkind: ProcessSet\nspec:\n".to_owned();
    for line in spec.lines() {
        text.push_str("  ");
        text.push_str(line);
        text.push('\n');
    }
    if !spec.contains("rocesses:\n") {
        text.push_str("  processes: [{name: app, command: [app]}]\n");
    }
    text
}

/// Asks `podinit check`.
fn check_set(place: &str, text: &str, verdict: Verdict) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("processset.yaml");
    std::fs::write(&file, text).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_podinit"))
        .arg("check")
        .arg(&file)
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let code = output.status.code();
    let warns = said.contains("warning");
    let found = match code {
        Some(0) if warns => Verdict::Warns,
        Some(0) => Verdict::Good,
        Some(65) => Verdict::Invalid,
        code => panic!("{place}: {code:?}\n{said}"),
    };
    assert_eq!(found, verdict, "{place}:\n{text}\n{said}");
}
