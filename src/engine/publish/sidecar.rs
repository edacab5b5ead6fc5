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
