//! What becomes of sidecars, in words.

use super::{about, seconds, text, unworded};
use crate::domain::fact::Fact;
use crate::domain::plan::OnTimeout;
use crate::domain::time::Human;
use crate::ports::{Level, Record, Value};

pub(super) fn record(fact: Fact) -> Record {
    match fact {
        Fact::SidecarReady { label, took } => about(
            Level::Info,
            label,
            format!("sidecar ready after {}", Human(took)),
            vec![("seconds", seconds(took))],
        ),
        Fact::SidecarStillWaiting { label, why } => {
            let why = why.as_deref().unwrap_or("no answer");
            about(
                Level::Warn,
                label,
                format!("still waiting for this sidecar: {why}"),
                vec![("error", text(why))],
            )
        }
        Fact::SidecarTimedOut {
            label,
            then,
            took,
            why,
        } => {
            let took_words = Human(took);
            let (level, then) = match then {
                OnTimeout::Fail => (Level::Error, ""),
                OnTimeout::Start => (Level::Warn, "; the set starts without it"),
            };
            about(
                level,
                label,
                format!("sidecar not ready in {took_words}: {why}{then}"),
                vec![("seconds", seconds(took)), ("error", text(&why))],
            )
        }
        Fact::SidecarQuit {
            label,
            failure: None,
        } => about(
            Level::Info,
            label,
            "sidecar told to quit".to_owned(),
            Vec::new(),
        ),
        Fact::SidecarQuit {
            label,
            failure: Some(why),
        } => about(
            Level::Warn,
            label,
            format!("sidecar told to quit, which is not confirmed: {why}"),
            vec![("error", Value::Text(why))],
        ),
        Fact::SidecarIsNative { label } => about(
            Level::Info,
            label,
            "a native sidecar: Kubernetes ends it, so it is not told to quit".to_owned(),
            Vec::new(),
        ),
        _ => unworded(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::domain::id::Label;

    #[test]
    fn each_has_its_words() {
        let label = Arc::new(Label {
            process: "mesh".into(),
            instance: "mesh".into(),
        });
        let label = || Arc::clone(&label);
        let took = Duration::from_secs(2);
        let why = || "status 503".into();
        let timed_out = |then| Fact::SidecarTimedOut {
            label: label(),
            then,
            took,
            why: why(),
        };
        let facts = [
            Fact::SidecarReady {
                label: label(),
                took,
            },
            Fact::SidecarStillWaiting {
                label: label(),
                why: Some(why()),
            },
            Fact::SidecarStillWaiting {
                label: label(),
                why: None,
            },
            timed_out(OnTimeout::Fail),
            timed_out(OnTimeout::Start),
            Fact::SidecarQuit {
                label: label(),
                failure: None,
            },
            Fact::SidecarQuit {
                label: label(),
                failure: Some("status 404".to_owned()),
            },
            Fact::SidecarIsNative { label: label() },
        ];
        let said: String = facts
            .into_iter()
            .map(crate::engine::publish::record)
            .map(|record| format!("{} {}\n", record.level, record.message))
            .collect();
        expect_test::expect![[r#"
            info sidecar ready after 2.0s
            warn still waiting for this sidecar: status 503
            warn still waiting for this sidecar: no answer
            error sidecar not ready in 2.0s: status 503
            warn sidecar not ready in 2.0s: status 503; the set starts without it
            info sidecar told to quit
            warn sidecar told to quit, which is not confirmed: status 404
            info a native sidecar: Kubernetes ends it, so it is not told to quit
        "#]]
        .assert_eq(&said);
    }
}
